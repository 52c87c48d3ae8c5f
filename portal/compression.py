"""Compresses what any frontend serves and lets browsers keep what cannot change, alike for all of them."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A name with a content hash, as bundlers make them: "index-BxI8Vgm0.js", "Source.DQ3z.woff2". Its content never changes.
HASHED = re.compile(r"/(?:assets|static)/.*[.-][A-Za-z0-9_-]{8,}\.(?:js|css|woff2?|ttf|svg|png|wasm)$")
FOREVER = b"public, max-age=31536000, immutable"
COMPRESSIBLE = re.compile(rb"^(?:text/(?!event-stream|csv)|application/(?:javascript|json|manifest|wasm)|image/svg)")
LEAST_BYTES = 1_000
KEPT_HEADERS = {b"content-type", b"content-length", b"content-encoding", b"vary", b"cache-control", b"etag", b"last-modified"}
KEPT_BYTES = 32_000_000  # all of both frontends' scripts, compressed, are about a third of this


class Compression:
    """Pure ASGI around the frontends. Bodies under a hashed name are compressed once and kept; streams pass untouched."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._kept: OrderedDict[str, tuple[Headers, bytes]] = OrderedDict()
        self._kept_bytes = 0
        self._making: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not _accepts_gzip(scope):
            await self._app(scope, receive, send)
            return
        # Compressed here and nowhere else, so that every frontend is compressed alike, and once.
        scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}
        path = scope["path"]
        if not HASHED.search(path):
            await self._app(scope, receive, _Response(send, hashed=False).send)
            return
        # Many first visitors come at once, when the waiting page turns into the frontend: one of them has it made.
        async with self._making.setdefault(path, asyncio.Lock()):
            if path not in self._kept:
                await self._make(path, scope, receive, send)
                return
        headers, body = self._kept[path]
        self._kept.move_to_end(path)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _make(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        response = _Response(send, hashed=True)
        try:
            await self._app(scope, receive, response.send)
        finally:
            self._making.pop(path, None)
        if response.whole is not None and path not in self._kept:
            headers, body = response.whole
            self._kept[path] = [(name, value) for name, value in headers if name.lower() in KEPT_HEADERS], body
            self._kept_bytes += len(body)
        while self._kept_bytes > KEPT_BYTES:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)


class _Response:
    """Holds a compressible response back until it is whole, and sends it compressed; anything else passes through."""

    def __init__(self, send: Send, hashed: bool) -> None:
        self._send, self._hashed = send, hashed
        self._start: Message | None = None
        self._body = bytearray()
        self.whole: tuple[Headers, bytes] | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Headers = list(message["headers"])
            self._hashed = self._hashed and message["status"] == 200 and _is_everybodys(headers)
            if self._hashed:
                headers = _with(headers, b"cache-control", FOREVER)
                message = {**message, "headers": headers}
            if message["status"] == 200 and _is_compressible(headers):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._send_whole(self._start)
            return
        await self._send(message)

    async def _send_whole(self, start: Message) -> None:
        headers, body = start["headers"], bytes(self._body)
        if len(body) >= LEAST_BYTES:
            body = await asyncio.to_thread(gzip.compress, body, 9 if self._hashed else 5, mtime=0)
            varies = [value for name, value in headers if name.lower() == b"vary"]
            headers = _with(headers, b"content-encoding", b"gzip")
            headers = _with(headers, b"vary", b", ".join([*varies, b"Accept-Encoding"]))
            headers = _with(headers, b"content-length", str(len(body)).encode())
            if self._hashed:
                self.whole = headers, body
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_compressible(headers: Headers) -> bool:
    given = {name.lower(): value for name, value in headers}
    return b"content-encoding" not in given and bool(COMPRESSIBLE.match(given.get(b"content-type", b"")))


def _is_everybodys(headers: Headers) -> bool:
    """Whether it may be kept for others: no page (a single-page app answers unknown names with one), nothing personal."""
    given = {name.lower(): value.lower() for name, value in headers}
    personal = b"set-cookie" in given or b"cookie" in given.get(b"vary", b"")
    private = any(word in given.get(b"cache-control", b"") for word in (b"private", b"no-store"))
    return not (personal or private or given.get(b"content-type", b"").startswith(b"text/html"))


def _accepts_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _with(headers: Headers, name: bytes, value: bytes) -> Headers:
    return [*((key, kept) for key, kept in headers if key.lower() != name), (name, value)]
