"""Walks every route of the assembled app, asks each without a session and with a half one; prints what it answered, as JSON.

A process of its own, because Streamlit's runtime is one for a process.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from starlette.routing import Mount, Route, WebSocketRoute

import app
from auth.sessions import Account
from core.settings import Settings
from tests.support.runner import ScriptedRunner

BASE = "http://127.0.0.1:7860"
INSIDE = ("app", "_app", "_starlette_app")


def routes_of(asgi: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of each route beneath `asgi`, through whatever wraps it; websockets have the method "WEBSOCKET"."""
    while not hasattr(asgi, "routes"):
        inside = next((getattr(asgi, name) for name in INSIDE if getattr(asgi, name, None) is not None), None)
        if inside is None:
            return
        asgi = inside
    for route in asgi.routes:
        path = prefix + re.sub(r"{[^}]*}", "x", getattr(route, "path", ""))
        if included := getattr(route, "original_router", None):  # FastAPI keeps an included router whole
            yield from routes_of(included, prefix + route.include_context.prefix)
        elif isinstance(route, Mount):
            yield ("GET", path + "/")
            yield from routes_of(route.app, path)
        elif isinstance(route, WebSocketRoute):
            yield ("WEBSOCKET", path)
        elif isinstance(route, Route):
            yield from ((method, path) for method in sorted(route.methods or ()))


async def ask_all() -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        made = app.create_app(Settings(data=Path(folder)), ScriptedRunner(["hi"]), print_line=lambda line: None)
        inner = made._app._app
        async with inner.router.lifespan_context(inner):
            async with asyncio.timeout(90):
                while not inner.state.portico.progress.ready:  # noqa: ASYNC110 (it has no event)
                    await asyncio.sleep(0.1)
            await build_lazy_routes(made, inner)
            found = sorted(set(routes_of(made)))
            transport = httpx.ASGITransport(made)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"origin": BASE}) as client:
                return [
                    await ask(made, client, method, path) | {"half": await ask_half(made, inner.state.auth, method, path)}
                    for method, path in found
                ]


async def build_lazy_routes(made: Any, inner: Any) -> None:
    """Streamlit makes its routes at the first request."""
    token = inner.state.auth.sessions.create(Account("ada", "Ada", "member"))
    cookies = {inner.state.auth.site.cookie(BASE[7:]).name: token}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=BASE, cookies=cookies) as client:
        answer = await client.get("/streamlit/")
        assert answer.status_code == 200, answer


async def ask_half(made: Any, auth: Any, method: str, path: str) -> object:
    """The status that a half session gets, a new one each time: some answers end it."""
    cookie = f"{auth.site.cookie(BASE[7:]).name}={auth.sessions.create(Account('hal', 'Hal', 'admin'), 'half')}"
    headers = {"origin": BASE, "cookie": cookie}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=BASE, headers=headers) as client:
        return (await ask(made, client, method, path, cookie))["status"]


async def ask(made: Any, client: httpx.AsyncClient, method: str, path: str, cookie: str = "") -> dict[str, object]:
    if method == "WEBSOCKET":
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", BASE[7:].encode()), (b"origin", BASE.encode()), (b"cookie", cookie.encode())]
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        await made(scope, receive, send)
        return {"method": method, "path": path, "status": sent[0].get("code"), "location": ""}
    answer = await client.request(method, path)
    return {"method": method, "path": path, "status": answer.status_code, "location": answer.headers.get("location", "")}


if __name__ == "__main__":
    json.dump(asyncio.run(ask_all()), sys.stdout)
