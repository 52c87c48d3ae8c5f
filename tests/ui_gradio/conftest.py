"""One mounted Gradio page over a real service and a scripted model, behind what the guard does: identity in headers."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine

from core.engine import LocalEngine
from core.frontend import Context, Mounted, Scope
from core.service import InferenceService
from core.store import Store, metadata
from core.tasks import chat_task
from core.types import SamplingParams, User
from tests.support.runner import ScriptedRunner

EXAMPLES = ("What is 17 + 25?", "Say hello")


def user_of(scope: Scope) -> User:
    headers = dict(scope["headers"])
    return User(headers[b"x-auth-user"].decode(), "Somebody")


@pytest.fixture(scope="package", autouse=True)
def gradio() -> Any:
    """The library itself, whose import warns about things that are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ui_gradio import frontend

        frontend.load()
        import gradio

    return gradio


@pytest.fixture
def service(tmp_path: Path) -> Iterator[InferenceService]:
    engine = create_engine(f"sqlite:///{tmp_path}/runs.db")
    metadata.create_all(engine)
    runner = ScriptedRunner([f"w{number} " for number in range(40)], pace_s=0.01)
    service = InferenceService(Store(engine), LocalEngine(runner), [chat_task(SamplingParams(), 1000, EXAMPLES)])
    yield service
    service.close()
    engine.dispose()


@dataclass
class Site:
    """What is served at /gradio, for any number of people."""

    mounted: Mounted

    def browser(self, user: str = "ada", session: str = "s-ada", **headers: str) -> httpx.AsyncClient:
        """A client whose requests come from `user`, signed in with `session`."""
        identity = {"x-auth-user": user, "x-auth-session": session} if session else {}
        transport = httpx.ASGITransport(self._at_path)
        return httpx.AsyncClient(transport=transport, base_url="http://portico.test/gradio", headers=identity | headers)

    async def _at_path(self, scope: Any, receive: Any, send: Any) -> None:
        await self.mounted.app({**scope, "root_path": "/gradio"}, receive, send)


@asynccontextmanager
async def served(service: InferenceService) -> AsyncIterator[Site]:
    """As app.py does it: mounted, and its lifespan entered and left in one task."""
    from ui_gradio import frontend

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mounted = frontend.mount(Context(service, user_of, "/gradio"))
        async with mounted.lifespan:
            yield Site(mounted)
