"""POST /v1/chat/completions and GET /v1/models, as programs written for OpenAI use them."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import httpx
import pytest

from api.completion import HEARTBEAT_S, Completion
from api.errors import of_failed
from api.routes import MAX_BODY
from auth.sessions import Account
from core.errors import Busy, failed_of
from core.types import Message, User
from tests.api.conftest import Site, asking, events
from tests.support.clock import wait_until

CHAT = "/v1/chat/completions"
ENDLESS = {"max_tokens": 4000}  # with LONG: eight seconds or more


async def test_a_whole_answer(site: Site, client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=asking())
    assert answer.status_code == 200
    body = answer.json()
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", "Scripted")
    assert abs(body["created"] - time.time()) < 60
    assert body["choices"] == [
        {
            "index": 0, "message": {"role": "assistant", "content": "echo: hello", "refusal": None}, "logprobs": None,
            "finish_reason": "stop",
        }
    ]  # fmt: skip
    assert body["usage"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}


async def test_a_stream_of_chunks(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=asking(stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    *chunks, done = events(answer.text)
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "echo: hello"
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all("usage" not in chunk for chunk in chunks)


async def test_a_stream_tells_its_usage_when_asked(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=asking(stream=True, stream_options={"include_usage": True}))
    *chunks, last, _ = events(answer.text)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    assert all(chunk["usage"] is None for chunk in chunks)


async def test_the_model_reads_every_turn_as_it_was_given(site: Site, client: httpx.AsyncClient) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1", "refusal": None, "tool_calls": [], "annotations": []},
        {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
    ]  # fmt: skip
    answer = await client.post(CHAT, json=asking(messages=messages))
    assert answer.json()["choices"][0]["message"]["content"] == "echo: two\nthree"
    assert site.runner.prompts[-1] == [
        Message("system", "Be brief."), Message("user", "one"), Message("assistant", "1"), Message("user", "two\nthree"),
    ]  # fmt: skip


async def test_what_no_database_or_model_takes_is_taken_out(site: Site, client: httpx.AsyncClient) -> None:
    body = b'{"model": "Scripted", "messages": [{"role": "user", "content": "a\\u0000b\\ud800c \xf0\x9f\x8f\x9b"}]}'
    answer = await client.post(CHAT, content=body)
    assert answer.json()["choices"][0]["message"]["content"] == "echo: abc 🏛"


async def test_parameters_reach_the_model(site: Site, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    submit = site.service._engine.submit
    monkeypatch.setattr(
        site.service._engine, "submit", lambda request, emit: (seen.append(request.params), submit(request, emit))
    )
    given = {
        "temperature": 0.25, "top_p": 0.5, "top_k": 3, "min_p": 0.125, "repetition_penalty": 1.5, "seed": 7,
        "max_completion_tokens": 2, "stop": ["\n\nUser: ", "\\n", "END"],
    }  # fmt: skip
    answer = await client.post(CHAT, json=asking(**given))
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    (params,) = seen
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (0.25, 0.5, 3, 0.125)
    assert params.stop == ("\n\nUser: ", "\\n", "END")
    assert (params.repetition_penalty, params.seed, params.max_tokens) == (1.5, 7, 2)


@pytest.mark.parametrize(
    ("given", "reached"),
    [({"stop": "\n"}, ("\n",)), ({"stop": []}, ()), ({"stop": ""}, ()), ({"stop": None}, ()), ({"top_k": -1}, ())],
)
async def test_stop_may_be_one_string_and_vllms_top_k_of_none(
    site: Site, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], reached: tuple[str, ...]
) -> None:
    seen: list[Any] = []
    submit = site.service._engine.submit
    monkeypatch.setattr(
        site.service._engine, "submit", lambda request, emit: (seen.append(request.params), submit(request, emit))
    )
    assert (await client.post(CHAT, json=asking(**given))).status_code == 200
    assert (seen[0].stop, seen[0].top_k) == (reached, 0)


async def test_what_asks_for_nothing_and_what_changes_no_answer_is_taken(client: httpx.AsyncClient) -> None:
    nothing = {
        "n": 1, "stop": None, "tools": [], "tool_choice": "auto", "logprobs": False, "presence_penalty": 0.0, "store": False,
        "response_format": {"type": "text"}, "user": "someone", "metadata": {"a": "b"}, "temperature": None, "stream": False,
        "max_tokens": 5, "max_completion_tokens": 5,
    }  # fmt: skip
    assert (await client.post(CHAT, json=asking(**nothing))).status_code == 200


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"), ({"model": 7}, "model"), ({"messages": None}, "messages"), ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"), ({"messages": [{"role": "user", "content": "x"}] * 1001}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"), ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "user"}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "name": "Bo"}]}, "messages[0].name"),
    ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "user", "content": " "}]}, "messages"),
    ({"messages": [{"role": "assistant", "content": "x" * 100_001}, {"role": "user", "content": "x"}]}, "messages"),
    ({"temperature": 3}, "temperature"), ({"temperature": "0.5"}, "temperature"), ({"temperature": True}, "temperature"),
    ({"temperature": -0.1}, "temperature"), ({"top_p": 1.5}, "top_p"), ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"), ({"max_tokens": 4096}, "max_tokens"), ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"),
    ({"max_completion_tokens": 10**30}, "max_completion_tokens"), ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
    ({"stream": "yes"}, "stream"), ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"stream": True, "stream_options": {"chunked": True}}, "stream_options"),
    ({"stream": True, "stream_options": 1}, "stream_options"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"), ({"stop": "x" * 101}, "stop"), ({"stop": 7}, "stop"), ({"stop": [7]}, "stop"),
    ({"stop": False}, "stop"), ({"stop": [" "]}, "stop"), ({"stop": ["a", ""]}, "stop"), ({"stop": {"a": 1}}, "stop"),
    ({"min_p": 1.5}, "min_p"), ({"min_p": "0.1"}, "min_p"), ({"top_k": -2}, "top_k"),
    ({"repetition_penalty": 0.5}, "repetition_penalty"),
    ({"n": 2}, "n"), ({"tools": [{"type": "function"}]}, "tools"), ({"logprobs": True}, "logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"), ({"presence_penalty": 1}, "presence_penalty"),
    ({"tempreature": 1}, "tempreature"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "param"), WRONG, ids=[f"{index}-{param}" for index, (_, param) in enumerate(WRONG)])
async def test_a_wrong_value_is_named(site: Site, client: httpx.AsyncClient, wrong: dict[str, Any], param: str) -> None:
    answer = await client.post(CHAT, json=asking(**wrong))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (set(error), error["param"], error["type"]) == ({"message", "type", "param", "code"}, param, "invalid_request_error")
    assert error["message"].endswith(".")
    assert not site.runner.prompts


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"hi"', b"\xff", b"[" * 100_000, b"1" * 5000, b'{"temperature": NaN}',
     b'{"temperature": Infinity}'],
    ids=range(10),
)  # fmt: skip
async def test_what_is_no_json_object_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(CHAT, content=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, None)
    assert "model and messages" in answer.json()["error"]["message"]


async def test_an_unknown_model_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json=asking() | {"model": "gpt-4o"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "this server runs 'Scripted'" in answer.json()["error"]["message"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(site: Site, client: httpx.AsyncClient) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while read < 50_000_000:
            read += 100_000
            yield b"x" * 100_000

    answer = await client.post(CHAT, content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert read <= MAX_BODY + 200_000


async def test_while_the_model_loads_there_is_a_time_to_come_back(site: Site, client: httpx.AsyncClient) -> None:
    site.loaded = False
    for answer in (await client.post(CHAT, json=asking()), await client.get("/v1/models")):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "model_loading"


async def test_a_full_queue_says_so_before_a_stream_begins(site: Site, client: httpx.AsyncClient) -> None:
    held = []
    for name, running, waiting in (("bo", 1, 0), ("cy", 1, 1), ("di", 1, 2)):
        held.append(site.service.complete(User(name, name), "chat", [Message("user", "long")], ENDLESS)[0])
        wait_until(lambda state=(running, waiting): (len(site.scheduler.running), len(site.scheduler.waiting)) == state)
    for stream in (False, True):
        answer = await client.post(CHAT, json=asking(stream=stream))
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["type"] == "rate_limit_error"
    for run in held:
        site.service.cancel(User(run.user_id, ""), run.id)


@pytest.mark.parametrize(("retry_s", "after"), [(12.3, "13"), (0.0, "1"), (None, "10")])
def test_a_full_queue_that_knows_when_it_moves_says_so(retry_s: float | None, after: str) -> None:
    answer = of_failed(failed_of(Busy(3, retry_s))).response()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, after)


async def test_a_quota_is_counted_and_used_up(site: Site) -> None:
    with site.database.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET quota = 2")
    async with site.client(site.token()) as client:
        assert [(await client.post(CHAT, json=asking())).status_code for _ in range(3)] == [200, 200, 429]
        answer = await client.post(CHAT, json=asking(stream=True))
    assert (answer.json()["error"]["type"], answer.json()["error"]["code"]) == ("insufficient_quota", "quota_used")


async def test_what_breaks_in_the_model_is_an_id_and_never_its_words(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The scripted model fails after three pieces."""
    answer = await client.post(CHAT, json=asking("fail long"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert "was told to fail" not in answer.text
    assert "Something went wrong on the server (error " in answer.text
    streamed = await client.post(CHAT, json=asking("fail long", stream=True))
    *chunks, last = events(streamed.text)
    assert streamed.status_code == 200
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "word word word "
    assert last["error"]["type"] == "server_error", "and no [DONE]: it is not"
    assert "was told to fail" in caplog.text


async def test_nothing_of_it_is_kept(site: Site, client: httpx.AsyncClient) -> None:
    for stream in (False, True):
        await client.post(CHAT, json=asking("a secret question", stream=stream))
    assert not site.store.conversations("ada")
    assert site.store.export("ada") == {"conversations": []}
    with site.database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
    wait_until(lambda: not site.service._runs._unwritten)


async def test_models_are_listed_and_found(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    (model,) = listed["data"]
    assert (listed["object"], model["id"], model["object"], model["owned_by"]) == ("list", "Scripted", "model", "portico")
    assert (await client.get("/v1/models/Scripted")).json() == model
    missing = await client.get("/v1/models/some/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", CHAT), ("POST", "/v1/models"), ("POST", "/v1/embeddings"), ("GET", "/v1/x/y")]
)
async def test_what_is_not_there_is_told_in_the_same_shape(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
    assert f"There is no {method} {path} here" in answer.json()["error"]["message"]


async def leave(site: Site, stream: bool) -> None:
    """A program that asks for a long answer and goes away."""
    gone = asyncio.Event()
    sent: list[Any] = []
    body = httpx.Request("POST", "http://x", json=asking("long", stream=stream, **ENDLESS)).content
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if (first := next(given, None)) is not None:
            return first
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7860"), (b"authorization", f"Bearer {site.token()}".encode())]
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": headers, "asgi": {"version": "3.0"}}
    asked = asyncio.create_task(site.guard(scope, receive, send))
    async with asyncio.timeout(10):
        while not site.scheduler.running:  # noqa: ASYNC110 (another thread's)
            await asyncio.sleep(0.01)
        gone.set()
        await asked


@pytest.mark.parametrize("stream", [False, True])
async def test_a_program_that_leaves_stops_its_run(site: Site, stream: bool) -> None:
    await leave(site, stream)
    wait_until(lambda: not site.busy)
    assert site.runner.steps < ENDLESS["max_tokens"] / 2


async def test_a_program_that_leaves_while_its_prompt_is_read_stops_its_run(site: Site) -> None:
    reading, go_on = threading.Event(), threading.Event()
    encode = site.runner.encode

    def slowly(*given: Any, **more: Any) -> list[int]:
        reading.set()
        go_on.wait(10)
        return encode(*given, **more)

    site.runner.encode = slowly  # type: ignore[method-assign]
    async with site.client(site.token()) as client:
        asked = asyncio.create_task(client.post(CHAT, json=asking("long", **ENDLESS)))
        await asyncio.to_thread(reading.wait, 10)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    go_on.set()
    # One place: who asks next waits for what is not stopped. The first may still be in the line, where there is room for one.
    async with site.client(site.token()) as client, asyncio.timeout(20):
        answer = await client.post(CHAT, json=asking("hello"))
        while answer.status_code == 429:
            await asyncio.sleep(0.05)
            answer = await client.post(CHAT, json=asking("hello"))
    assert answer.json()["choices"][0]["message"]["content"] == "echo: hello"
    assert site.runner.steps < ENDLESS["max_tokens"] / 2


async def test_a_silent_stream_is_kept_open_by_comments(site: Site) -> None:
    """The scripted model is silent for two seconds, of which half a one counts as fifteen."""
    run, stream = site.service.complete(User("ada", "Ada"), "chat", [Message("user", "slow")], {})
    completion = Completion(site.service, User("ada", "Ada"), run, stream, asked=_streaming())
    stream.idle_s = HEARTBEAT_S / 30
    chunks = [chunk async for chunk in completion._events(await anext(stream))]
    comments = [chunk for chunk in chunks if chunk.startswith(b":")]
    assert len(comments) >= 2
    assert set(comments) == {b": still here\n\n"}
    *said, done = events(b"".join(chunks).decode())
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in said) == "echo: slow"
    assert done == "[DONE]"


async def test_a_stream_that_is_silent_for_a_moment_sends_nothing(client: httpx.AsyncClient) -> None:
    """A page's ticks, ten a second, are nothing to a program."""
    answer = await client.post(CHAT, json=asking("slow", stream=True))
    assert answer.text.count("data: ") == len(answer.text.split("\n\n")) - 1


@pytest.mark.parametrize("said", ['"content":""', 'back\\slash "quotes" </script>', "line\nbreak\u2028", "🏛", "data: [DONE]\n\n"])
async def test_whatever_is_said_arrives_as_it_was(client: httpx.AsyncClient, said: str) -> None:
    answer = await client.post(CHAT, json=asking(said, stream=True))
    chunks = [one for one in events(answer.text) if one != "[DONE]"]
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in chunks) == "echo: " + said


def _streaming() -> Any:
    from api.asked import read

    return read(httpx.Request("POST", "http://x", json=asking("slow", stream=True)).content, "Scripted")


async def test_two_people_ask_at_once_and_each_gets_their_own(site: Site) -> None:
    bo = Account("bo", "Bo", "member")
    site.auth.sessions.create(bo)
    async with site.client(site.token()) as one, site.client(site.token(account=bo)) as other:
        answers = await asyncio.gather(one.post(CHAT, json=asking("from ada")), other.post(CHAT, json=asking("from bo")))
    assert [one.json()["choices"][0]["message"]["content"] for one in answers] == ["echo: from ada", "echo: from bo"]
