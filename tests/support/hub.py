"""A model hub on loopback that speaks as much of the hub's protocol as downloading takes; the client is the real one."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34
PIECE = 64 * 1024


@contextmanager
def model_hub(models: dict[str, Path], bytes_per_second: float = math.inf) -> Iterator[tuple[str, list[str]]]:
    """Serve `models` (hub id -> folder); gives the endpoint's address and the list of paths that were asked for.

    A body is sent in pieces, at `bytes_per_second` at most.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            asked.append(f"{self.command} {path}")
            for hub_id, folder in models.items():
                if path.startswith(f"/api/models/{hub_id}"):
                    self._describe(hub_id, folder, path.removeprefix(f"/api/models/{hub_id}"))
                    return
                if path.startswith(f"/{hub_id}/resolve/"):
                    _, _, name = path.removeprefix(f"/{hub_id}/resolve/").partition("/")
                    self._file(folder / name)
                    return
            self._refuse("RepoNotFound")

        def _describe(self, hub_id: str, folder: Path, rest: str) -> None:
            if "missing" in rest:
                self._refuse("RevisionNotFound")
                return
            files = [file for file in sorted(folder.iterdir()) if file.is_file()]
            if rest.startswith("/tree"):
                self._json([{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _digest(f)} for f in files])
            else:
                siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
                self._json({"id": hub_id, "modelId": hub_id, "sha": COMMIT, "siblings": siblings, "tags": []})

        def _file(self, file: Path) -> None:
            if not file.is_file():
                self._refuse("EntryNotFound")
                return
            body = file.read_bytes()
            status, start, end = 200, 0, len(body)
            if wanted := self.headers.get("Range"):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, end, status = int(first), int(last) + 1 if last else len(body), 206
            part = body[start:end]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(body)}")
            self.send_header("ETag", f'"{_digest(file)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self._send(part)

        def _json(self, value: object) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self._send(json.dumps(value).encode())

        def _refuse(self, code: str) -> None:
            self.send_response(401 if code == "RepoNotFound" else 404)
            self.send_header("X-Error-Code", code)
            self._send(b"{}")

        def _send(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                for start in range(0, len(body), PIECE):
                    piece = body[start : start + PIECE]
                    self.wfile.write(piece)
                    time.sleep(len(piece) / bytes_per_second)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def _digest(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
