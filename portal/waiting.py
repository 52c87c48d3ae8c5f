"""What stands in place of what is not up yet: the open port before the app, and a frontend's path before the frontend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import screen_message
from core.progress import Progress

if TYPE_CHECKING:
    from core.frontend import ASGIApp, Frontend

HOLD_S = 120

log = logging.getLogger("portico")


class Slot:
    """A frontend's place in the app: the waiting page until it is up."""

    def __init__(self, frontend: Frontend, progress: Progress) -> None:
        self.frontend, self._progress = frontend, progress
        self.app: ASGIApp | None = None
        self._open = asyncio.Event()

    def open(self, app: ASGIApp) -> None:
        """The frontend is up."""
        self.app = app
        self._open.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from portal.pages import waiting_page  # late, so that the port need not wait for templates

        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            await waiting_page(self._progress, self.frontend.title)(scope, receive, send)
        elif scope["type"] == "http":  # a page from before a restart, which asks whether its frontend is back: it is, soon
            async with asyncio.timeout(HOLD_S):
                await self._open.wait()
            await self(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})  # try again later


class Door:
    """What the port answers before the app is composed: /healthz at once; everything else waits that half second."""

    def __init__(self, compose: Callable[[], Any], on_fatal: Callable[[str], None], stopping: Callable[[], bool]) -> None:
        self._compose, self._on_fatal, self._stopping, self._app = compose, on_fatal, stopping, None
        self._composed = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if not self._composed.is_set() and scope["type"] == "http" and scope["path"] == "/healthz":
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"status":"ok"}'})
            return
        await self._composed.wait()
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._stopping():  # a stream that is cut because the server ends is no error to log
                raise

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        stop = asyncio.Event()
        task = asyncio.create_task(self._serve(stop))
        await receive()
        stop.set()
        await task
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, stop: asyncio.Event) -> None:
        """Compose the app and run its lifespan until `stop`."""
        try:
            self._app = await asyncio.to_thread(self._compose)
        except Exception as error:
            self._on_fatal(screen_message(error))
            return
        self._composed.set()
        told = iter(("startup", "shutdown"))

        async def receive() -> dict[str, str]:
            if (what := next(told)) == "shutdown":
                await stop.wait()
            return {"type": f"lifespan.{what}"}

        async def send(message: Any) -> None:
            if message["type"].endswith("failed"):
                log.error("%s: %s", message["type"], message.get("message", ""))

        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
