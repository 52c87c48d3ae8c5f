"""The API behind the guard over a scripted model: as the app assembles it, without a server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from api.routes import api_routes
from app import user_of
from auth.middleware import Guard
from auth.sessions import Account
from core.engine import LocalEngine
from core.engine.scheduler import Scheduler
from core.service import InferenceService
from core.store import Store
from core.tasks import chat_task
from core.types import SamplingParams
from tests.support.auth import BASE, make_auth
from tests.support.runner import ScriptedRunner

ADA = Account("ada", "Ada", "member")
LONG = ["word "] * 5000


class Site:
    """The guard and the routes; `runner` is what the model is asked."""

    def __init__(self, database: Engine) -> None:
        self.auth, self.database = make_auth(database), database
        self.auth.sessions.create(ADA)
        self.runner = ScriptedRunner(lambda message: LONG if "long" in message else ["echo: ", message], pace_s=0.002)
        self.store, self.scheduler = Store(database), Scheduler(max_waiting=2)
        engine = LocalEngine(self.runner, self.scheduler)
        self.service = InferenceService(self.store, engine, [chat_task(SamplingParams(), 4096)])
        self.loaded = True
        inner = Starlette(routes=list(api_routes(lambda: self.service if self.loaded else None, user_of)))
        self.guard = Guard(inner, self.auth.sessions, self.auth.site, find_token=self.auth.tokens.find)
        self.auth.tokens.on_revoke.append(self.guard.close_session)

    def token(self, *scopes: str, account: Account = ADA) -> str:
        ends = self.auth.clock() + timedelta(days=1)
        return self.auth.tokens.make(account, "test", scopes or ("chat", "models"), ends)[1]

    def client(self, token: str = "", **headers: str) -> httpx.AsyncClient:
        """A program: no Origin, no cookie, a token."""
        given = {"authorization": f"Bearer {token}", **headers} if token else headers
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.guard), base_url=BASE, headers=given)

    @property
    def busy(self) -> bool:
        """Whether the model has anything to do."""
        return bool(self.scheduler.running or self.scheduler.waiting)


@pytest.fixture
def site(database: Engine) -> Iterator[Site]:
    made = Site(database)
    yield made
    made.service.close()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client(site.token()) as made:
        yield made


def asking(text: str = "hello", **values: Any) -> dict[str, Any]:
    return {"model": "Scripted", "messages": [{"role": "user", "content": text}], **values}


def events(text: str) -> list[Any]:
    """The data of a stream of events; comments left out."""
    found = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [one if one == "[DONE]" else json.loads(one) for one in found]
