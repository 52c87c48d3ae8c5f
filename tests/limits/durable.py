"""A chat that survives all that the scenario does to it, but for a planted fault: pages/durable.html and its server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
from playwright.sync_api import Browser

from limits.subjects import Subject
from limits.token_server import TokenServer
from limits.visit import Visit
from tests.limits.planted import PAGES, PageDriver


class DurableDriver(PageDriver):
    def stop(self) -> None:
        self.page.get_by_role("button", name="Stop").click()

    def regenerate(self) -> None:
        self.page.get_by_role("button", name="Regenerate").click()

    def error(self) -> str | None:
        return self.page.locator(".error").last.inner_text() or None


@dataclass
class Turn:
    asked: str
    text: str = ""
    error: str = ""
    open: bool = True


@dataclass
class Chat:
    """All conversations by name. `fault` is one of the server's: forgets, one-at-a-time, loses-partial, loses-it-later."""

    tokens: TokenServer
    fault: str
    said: dict[str, list[Turn]] = field(default_factory=dict)
    turns: Lock = field(default_factory=Lock)

    def ask(self, conversation: str, text: str) -> None:
        if self.fault == "loses-it-later":
            for before in self.said.get(conversation, []):
                before.text = ""
        self.said.setdefault(conversation, []).append(turn := Turn(text))
        Thread(target=self._answer, args=(turn,), daemon=True).start()

    def stop(self, conversation: str) -> None:
        turn = self.said[conversation][-1]
        turn.open = False
        if self.fault == "loses-partial":
            turn.text = ""

    def again(self, conversation: str) -> None:
        self.ask(conversation, self.said[conversation].pop().asked)

    def _answer(self, turn: Turn) -> None:
        with self.turns if self.fault == "one-at-a-time" else Lock():
            self._read(turn)

    def _read(self, turn: Turn) -> None:
        body = {"model": "tokens", "stream": True, "messages": [{"role": "user", "content": turn.asked}]}
        try:
            with httpx.stream(
                "POST", f"{self.tokens.url}/chat/completions", json=body, timeout=None, trust_env=False
            ) as response:
                for line in response.iter_lines():
                    if not turn.open or line == "data: [DONE]":
                        break
                    if line:
                        choices = json.loads(line.removeprefix("data: "))["choices"]  # a KeyError tells of an error
                        turn.text += "".join(choice["delta"].get("content", "") for choice in choices)
        except (KeyError, httpx.HTTPError):
            turn.error = "The model broke off, ask it again."
        turn.open = False


class Durable:
    """A Running; use it `with`. What is said lasts over a restart, unless the fault is "forgets"."""

    def __init__(self, tokens: TokenServer, fault: str = "") -> None:
        self._chat, self.pid, self._port = Chat(tokens, fault), 0, 0
        self._serve()
        self.url = f"http://127.0.0.1:{self._port}/?fault={fault}"

    def sign_in(self, page: Any) -> None:
        """There is no sign-in."""

    def restart(self) -> None:
        self._end()
        if self._chat.fault == "forgets":
            self._chat.said.clear()
        self._serve()

    def _serve(self) -> None:
        handler = type("Handler", (_Handler,), {"chat": self._chat})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _end(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def renew(self) -> None:
        """It is as new as the test."""

    def revive(self) -> None:
        """It lives as long as the test."""

    def __enter__(self) -> Durable:
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()


class _Handler(BaseHTTPRequestHandler):
    chat: Chat

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/":
            self._reply("text/html", (PAGES / "durable.html").read_bytes())
        else:
            turns = self.chat.said.get(parse_qs(address.query)["c"][0], [])
            self._reply("application/json", json.dumps([asdict(turn) for turn in turns]).encode())

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        conversation = parse_qs(address.query)["c"][0]
        if address.path == "/ask":
            self.chat.ask(conversation, body)
        else:
            getattr(self.chat, address.path.removeprefix("/"))(conversation)
        self._reply("text/plain", b"")

    def _reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def visit_durable(
    tokens: TokenServer, browser: Browser, pictures: Path, fault: str = "", driver: type[PageDriver] = DurableDriver
) -> Iterator[Visit]:
    with Durable(tokens, fault) as running:
        subject = Subject("durable", "durable", "stock", "Durable", cast(Any, driver), cast(Any, None), (), (PAGES, ""))
        yield Visit(subject, cast(Any, running), tokens, browser, pictures, {})
