"""The remote engine, and the service over it, against another Portico: what is stopped here stops there."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import Engine as Database
from starlette.applications import Starlette

from api.routes import api_routes
from app import user_of
from auth.middleware import Guard
from auth.sessions import Account
from core.database import open_database
from core.engine import LocalEngine
from core.engine.remote import RemoteEngine, list_models
from core.errors import ModelError
from core.service import InferenceService
from core.store import Store
from core.tasks import chat_task
from core.types import Delta, Finished, Message, SamplingParams, Started
from tests.conftest import ADA
from tests.support.auth import make_auth
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner

SOON = 1.5  # seconds within which the other side must have noticed


class Portico:
    """Another Portico: the guard, the API and an engine over a scripted model, on a port of its own."""

    def __init__(self, database: Database) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.url = f"{address}/v1"
        auth = make_auth(database, public=address)
        ada = Account("ada", "Ada", "member")
        auth.sessions.create(ada)
        self.key = auth.tokens.make(ada, "test", ("chat", "models"), auth.clock() + timedelta(days=1))[1]
        self.runner = ScriptedRunner(lambda text: ["word "] * 4000 if "long" in text else ["echo: ", text], pace_s=0.005)
        self.engine = LocalEngine(self.runner)
        self.service = InferenceService(Store(database), self.engine, [chat_task(SamplingParams(), 4096)])
        inner = Starlette(routes=list(api_routes(lambda: self.service, user_of)))
        guard = Guard(inner, auth.sessions, auth.site, find_token=auth.tokens.find)
        config = uvicorn.Config(guard, log_config=None, access_log=False, lifespan="off", ws="none")
        self._server, self._listening = uvicorn.Server(config), listening
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listening.close()
        self.service.close()


@pytest.fixture
def portico(database: Database) -> Iterator[Portico]:
    made = Portico(database)
    yield made
    made.close()


@pytest.fixture
def here(portico: Portico, tmp_path: Path, migrated_file: Path) -> Iterator[InferenceService]:
    """A service over that Portico, with a database of its own."""
    shutil.copy(migrated_file, tmp_path / "here.db")
    database = open_database(f"sqlite:///{tmp_path}/here.db")
    engine = RemoteEngine(portico.url, portico.key, list_models(portico.url, portico.key)[0])
    service = InferenceService(Store(database), engine, [chat_task(SamplingParams(), 4096)])
    yield service
    service.close()
    database.dispose()


def test_a_run_on_another_portico(portico: Portico, here: InferenceService) -> None:
    assert here.model.name == "Scripted"
    run = here.start(ADA, "chat", {"message": "hello", "system": "Be brief."})
    with here.watch(ADA, run.id) as events:
        seen = list(events)
    assert "".join(event.text for event in seen if isinstance(event, Delta)) == "echo: hello"
    assert Started() in seen
    end = seen[-1]
    assert isinstance(end, Finished)
    assert (end.reason, end.usage.tokens) == ("stop", 3)
    assert portico.runner.prompts == [[Message("system", "Be brief."), Message("user", "hello")]]
    again = here.start(ADA, "chat", {"message": "more"}, run.conversation_id)
    assert isinstance(list(here.watch(ADA, again.id))[-1], Finished)
    assert [one.content for one in portico.runner.prompts[-1]] == ["hello", "echo: hello", "more"]


def test_a_cancel_here_ends_the_run_there(portico: Portico, here: InferenceService) -> None:
    run = here.start(ADA, "chat", {"message": "a long one", "max_tokens": 4000})
    with here.watch(ADA, run.id) as events:
        next(event for event in events if isinstance(event, Delta) and event.text)
        assert portico.engine.busy == 1
        at = time.monotonic()
        here.cancel(ADA, run.id)
        end = list(events)[-1]
    assert isinstance(end, Finished)
    assert end.reason == "cancelled"
    assert time.monotonic() - at < SOON
    wait_until(lambda: portico.engine.busy == 0, SOON, what="the run there to end")
    assert portico.runner.steps < 3000
    wait_until(lambda: here.conversation(ADA, run.conversation_id).runs[0].reason == "cancelled")
    assert here.conversation(ADA, run.conversation_id).runs[0].text.startswith("word ")


def test_closing_here_ends_the_run_there(portico: Portico, here: InferenceService) -> None:
    run = here.start(ADA, "chat", {"message": "a long one", "max_tokens": 4000})
    wait_until(lambda: portico.engine.busy == 1)
    here.close()
    wait_until(lambda: portico.engine.busy == 0, SOON, what="the run there to end")
    assert here.conversation(ADA, run.conversation_id).runs[0].status == "failed"


def test_another_portico_wants_a_good_key(portico: Portico) -> None:
    with pytest.raises(ModelError, match="does not accept the key"):
        list_models(portico.url, "portico_" + "x" * 43)
    with pytest.raises(ModelError, match="asks for a key"):
        list_models(portico.url, "")
