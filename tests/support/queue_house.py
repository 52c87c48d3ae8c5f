"""Both frontends over a scripted model with a short queue, and nobody at the door: who asks is what a cookie says.

For what people see while others are before them. `python -m tests.support.queue_house --data DIR` serves it.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from core.database import open_database
from core.engine import LocalEngine
from core.engine.scheduler import Scheduler
from core.frontend import Context
from core.service import InferenceService
from core.settings import FRONTENDS
from core.store import Store, metadata
from core.tasks import chat_task
from core.types import ModelInfo, SamplingParams, User
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner
from tests.support.serve import ROOT, answer

WAITING = 2


class Named:
    """Puts the cookie's name where the guard puts a session's."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            cookies = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
            name = cookies["who"].value.encode() if "who" in cookies else b"nobody"
            headers = {b"x-auth-user": name, b"x-auth-name": name, b"x-auth-role": b"member", b"x-auth-session": b"s-" + name}
            scope = {**scope, "headers": [*scope["headers"], *headers.items()]}
        await self._app(scope, receive, send)


def user_of(scope: Any) -> User:
    name = dict(scope["headers"])[b"x-auth-user"].decode()
    return User(name, name)


def make_app(data: Path, pace: float) -> Named:
    """At most one runs and WAITING wait. `POST /ask` asks with no page, and `POST /stop` stops what someone asked so."""
    database = open_database(f"sqlite:///{data / 'portico.db'}")
    metadata.create_all(database)
    engine = LocalEngine(ScriptedRunner(answer, pace_s=pace), Scheduler(max_running=1, max_waiting=WAITING))
    models = [engine.model, ModelInfo("another")]  # a choice of them, so that each answer says whose it is
    service = InferenceService(Store(database), engine, [chat_task(SamplingParams(), 4096)], lambda: models)
    asked: list[tuple[User, str]] = []

    async def ask(request: Request) -> PlainTextResponse:
        user = user_of(request.scope)
        asked.append((user, service.start(user, "chat", {"message": (await request.body()).decode()}).id))
        return PlainTextResponse("")

    async def stop(request: Request) -> PlainTextResponse:
        name = (await request.body()).decode()
        for user, run_id in asked:
            if name in (user.name, ""):
                service.cancel(user, run_id)
        return PlainTextResponse("")

    mounted = {name: frontend(name).mount(Context(service, user_of, f"/{name}")) for name in FRONTENDS}

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in mounted.values():
                await stack.enter_async_context(each.lifespan)
            yield
        service.close()

    routes = [
        Route("/ask", ask, methods=["POST"]),
        Route("/stop", stop, methods=["POST"]),
        Mount("/static", StaticFiles(directory=ROOT / "portal" / "static")),
        *(Mount(f"/{name}", each.app) for name, each in mounted.items()),
    ]
    return Named(Starlette(routes=routes, lifespan=lifespan))


def frontend(name: str) -> Any:
    found = importlib.import_module(f"ui_{name}").frontend
    found.load()
    return found


class QueueHouse:
    """It runs in a process of its own; use it `with`."""

    def __init__(self, data: Path, pace: float = 0.05) -> None:
        self._terminal = data / "terminal.txt"
        command = [sys.executable, "-m", "tests.support.queue_house", "--data", str(data), "--pace", str(pace)]
        with self._terminal.open("w") as file:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
        wait_until(lambda: re.search(r"running on (\S+)", self.terminal) or self._process.poll() is not None, 90, 0.1)
        found = re.search(r"running on (\S+)", self.terminal)
        assert found, self.terminal
        self.url = found[1]

    @property
    def terminal(self) -> str:
        return self._terminal.read_text()

    def ask(self, who: str, message: str) -> None:
        """A person without a page."""
        httpx.post(f"{self.url}/ask", content=message, cookies={"who": who}).raise_for_status()

    def stop(self, who: str = "") -> None:
        """Stop what that person asked with no page; all that was asked so for ""."""
        httpx.post(f"{self.url}/stop", content=who).raise_for_status()

    def __enter__(self) -> QueueHouse:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pace", type=float)
    given = parser.parse_args()
    config = uvicorn.Config(
        make_app(given.data, given.pace), port=0, log_config=None, access_log=False, timeout_graceful_shutdown=2
    )
    listening = config.bind_socket()
    listening.listen(128)  # who comes early waits
    print(f"running on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
