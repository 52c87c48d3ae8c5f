"""What the guard costs: the same app bare and behind it, and how many sessions and open websockets it holds.

Run by `make bench`, or alone: `python -m bench.guard`. Requests alternate between the two, since this machine's pace drifts.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import auth.store
from auth.middleware import Guard
from auth.sessions import Account, Session, Sessions
from auth.site import Site
from core.database import open_database

HOST = b"127.0.0.1:7860"
SESSIONS = 2000
SOCKETS = 200
REQUESTS = 20_000

Headers = list[tuple[bytes, bytes]]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The least app there is; a websocket stays open until it is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"ok"})


def headers_of(token: str) -> Headers:
    """What a Chromium sends with a fetch of our own page."""
    return [
        (b"host", HOST), (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/151.0 Safari/537.36"),
        (b"accept", b"*/*"), (b"accept-language", b"en"), (b"accept-encoding", b"gzip"), (b"sec-fetch-site", b"same-origin"),
        (b"sec-fetch-mode", b"cors"), (b"referer", b"http://127.0.0.1:7860/"),
        (b"cookie", f"theme=dark; portico-7860={token}".encode()),
    ]  # fmt: skip


async def asked(app: Any, headers: Headers) -> float:
    """Milliseconds of one request, and that it was answered."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": headers, "client": ("127.0.0.1", 5)}
    begun = time.perf_counter()
    await app(scope, receive, send)
    took = (time.perf_counter() - begun) * 1000
    if sent[0]["status"] != 200:
        raise RuntimeError(f"the guard answered {sent[0]['status']}")
    return took


class Socket:
    """An open websocket."""

    def __init__(self, app: Any, token: str) -> None:
        self.sent: list[Any] = []
        self.closed = asyncio.Event()
        headers = [*headers_of(token), (b"origin", b"http://" + HOST)]
        scope = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": headers, "client": ("127.0.0.1", 5)}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self.closed.wait()
        return {"type": "websocket.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


async def measure(database: Engine) -> dict[str, float]:
    """All figures: milliseconds, but for counts."""
    sessions = Sessions(database)
    guard = Guard(bare, sessions, Site.of("http://127.0.0.1:7860", 7860))
    tokens = [sessions.create(Account(f"user-{number}", f"User {number}", "member")) for number in range(SESSIONS)]
    first = [await asked(guard, headers_of(token)) for token in tokens]
    sockets = [Socket(guard, tokens[number]) for number in range(SOCKETS)]
    await asyncio.sleep(0)
    without, behind = [], []
    for number in range(REQUESTS):
        headers = headers_of(tokens[number % SESSIONS])
        without.append(await asked(bare, headers))
        behind.append(await asked(guard, headers))
    begun = time.perf_counter()
    sessions.refresh()
    refreshed = (time.perf_counter() - begun) * 1000
    open_sockets = sum(1 for socket in sockets if not socket.task.done() and socket.sent)
    ended = await revoke_all(sessions, tokens, sockets)
    return {
        "sessions held": len(tokens), "websockets held open": open_sockets, "websockets ended by a revocation": ended,
        "bare app, p50 ms": statistics.median(without), "behind the guard, p50 ms": statistics.median(behind),
        "behind the guard, p99 ms": statistics.quantiles(behind, n=100)[98],
        "the guard alone, p50 ms": statistics.median(behind) - statistics.median(without),
        "a session's first request, p50 ms": statistics.median(first), "looking for changes elsewhere, ms": refreshed,
    }  # fmt: skip


async def revoke_all(sessions: Sessions, tokens: list[str], sockets: list[Socket]) -> int:
    """Revoke the sessions of `sockets`; how many of them ended by it."""
    for number in range(len(sockets)):
        session = sessions.find(tokens[number])
        if isinstance(session, Session):
            sessions.revoke(session.id)
    await asyncio.wait([socket.task for socket in sockets], timeout=10)
    return sum(1 for socket in sockets if socket.sent[-1].get("code") == 4401)


def run() -> dict[str, float]:
    """The figures, over a SQLite database in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'portico.db'}")
        auth.store.metadata.create_all(database)
        try:
            return asyncio.run(measure(database))
        finally:
            database.dispose()


if __name__ == "__main__":
    for name, figure in run().items():
        print(f"{name:36} {figure:10.3f}")
