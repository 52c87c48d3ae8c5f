"""A server that is known to cost: `python -m tests.limits.costly` keeps 6 MB for each page and burns CPU for each answer."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE_MB, TURN_S = 6, 0.4
PAGE = b"""<!doctype html><title>Costly</title><textarea></textarea><script>
const composer = document.querySelector("textarea");
composer.onkeydown = async (event) => {
  if (event.key !== "Enter") return;
  document.body.classList.add("answering");
  document.body.append(Object.assign(document.createElement("p"), {className: "asked"}));
  await fetch("turn");
  document.body.classList.remove("answering");
};
</script>"""
kept: list[bytes] = []


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.path == "/turn":
            until = time.thread_time() + TURN_S
            while time.thread_time() < until:
                pass
        elif self.path == "/":
            kept.append(b"x" * PAGE_MB * 1_000_000)  # written, so that it is resident
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
