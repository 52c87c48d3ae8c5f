"""Several models over the API: listed, asked by name, and told apart from those that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from core.engine.router import Router
from core.errors import ModelError
from core.service import InferenceService
from core.tasks import chat_task
from core.types import Message, SamplingParams, User
from tests.api.conftest import Site, asking, events
from tests.support.clock import wait_until
from tests.support.source import ScriptedSource

CHAT = "/v1/chat/completions"


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource(pace_s=0.002, **{"a": 600, "org/b": 600})


@pytest.fixture
def router(site: Site, source: ScriptedSource) -> Iterator[Router]:
    """Puts two models, "a" and "org/b", behind the site."""
    made = Router(source, 1000, keep_s=0)
    made.start([("", "a"), ("", "org/b")])
    wait_until(lambda: len(made.askable()) == 2)
    site.service.close()
    site.service = InferenceService(site.store, made, [chat_task(SamplingParams(), 4096)], made.askable)
    yield made
    made.close()


async def test_all_that_can_be_asked_are_listed(router: Router, client: httpx.AsyncClient) -> None:
    """There is room for one of the two; the other comes back when it is asked."""
    assert [entry.state for entry in router.entries()] == ["ready", "unloaded"]
    assert [one["id"] for one in (await client.get("/v1/models")).json()["data"]] == ["a", "org/b"]
    assert (await client.get("/v1/models/org/b")).json()["id"] == "org/b"
    unknown = await client.get("/v1/models/c")
    assert unknown.status_code == 404
    assert "this server runs 'a' or 'org/b'" in unknown.json()["error"]["message"]


async def test_the_model_that_is_named_answers(router: Router, client: httpx.AsyncClient) -> None:
    for name in ("a", "org/b", "a"):
        answer = (await client.post(CHAT, json=asking(model=name))).json()
        assert answer["model"] == name
        assert answer["choices"][0]["message"]["content"] == f"{name}: hello"
        assert answer["usage"]["completion_tokens"] == 3
    streamed = events((await client.post(CHAT, json=asking(model="org/b", stream=True))).text)
    assert {chunk["model"] for chunk in streamed[:-1]} == {"org/b"}
    for wrong, status in (("c", 404), (None, 400), ("", 404)):
        refused = await client.post(CHAT, json=asking(model=wrong))
        assert refused.status_code == status
        assert refused.json()["error"]["param"] == "model"
        assert "'a' or 'org/b'" in refused.json()["error"]["message"]


async def test_a_model_without_room_is_waited_for(site: Site, router: Router, client: httpx.AsyncClient) -> None:
    ada = User("ada", "Ada")
    run, stream = site.service.complete(ada, "chat", [Message("user", "long")], {"model": "a", "max_tokens": 4000})
    waiting = asyncio.create_task(client.post(CHAT, json=asking(model="org/b")))
    await asyncio.to_thread(wait_until, lambda: router.busy == 2)
    site.service.cancel(ada, run.id)
    stream.close()
    answer = await asyncio.wait_for(waiting, 20)
    assert answer.json()["choices"][0]["message"]["content"] == "org/b: hello"


async def test_a_model_that_cannot_be_loaded_again_says_when_to_ask_once_more(
    router: Router, source: ScriptedSource, client: httpx.AsyncClient
) -> None:
    source.broken["org/b"] = ModelError("/srv/models/b is damaged.")
    refused = await client.post(CHAT, json=asking(model="org/b"))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
    assert "/srv" not in refused.text
    source.broken.clear()
    assert (await client.post(CHAT, json=asking(model="a"))).status_code == 200
