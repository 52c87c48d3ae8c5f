"""The lab's model keeps its pace, tells when it wrote what, breaks where it is told, and knows who left."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from limits.token_server import TokenServer, last_message, script
from tests.support.clock import wait_until


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture
def client(tokens: TokenServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=tokens.url, api_key="unused", max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, message: str) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    return client.chat.completions.create(model="any", messages=[{"role": "user", "content": message}], stream=True)


def text(chunk: openai.types.chat.ChatCompletionChunk) -> str:
    return chunk.choices[0].delta.content or ""


def test_it_counts_at_the_pace_that_is_asked_for(tokens: TokenServer, client: openai.OpenAI) -> None:
    before = time.time()
    said = [text(chunk) for chunk in ask(client, "count to 30 at 20 mark-pace")]
    assert said == [*(f"{number} " for number in range(1, 31)), ""]
    times = tokens.times("mark-pace")
    assert list(times) == list(range(1, 31))
    assert before <= times[1] <= times[30] <= time.time()
    assert times[30] - times[1] == pytest.approx(29 / 20, abs=0.5)
    how, at = tokens.ended("mark-pace") or ("", 0.0)
    assert how == "finished"
    assert times[30] <= at <= time.time()


def test_it_breaks_as_a_crashed_model_does(tokens: TokenServer, client: openai.OpenAI) -> None:
    said = []
    with pytest.raises(openai.APIError, match="The model crashed"):
        said += [text(chunk) for chunk in ask(client, "fail after 4 mark-broken")]
    assert list(tokens.times("mark-broken")) == [1, 2, 3, 4]
    assert (tokens.ended("mark-broken") or ("",))[0] == "failed"


def test_the_connection_of_a_broken_answer_has_no_end(tokens: TokenServer) -> None:
    body = {"messages": [{"role": "user", "content": "fail after 2"}]}
    with httpx.Client(trust_env=False) as plain, plain.stream("POST", f"{tokens.url}/chat/completions", json=body) as response:
        pieces = response.iter_text()
        assert "1 " in next(pieces)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_it_knows_who_left(tokens: TokenServer, client: openai.OpenAI) -> None:
    stream = ask(client, "count to 1000 at 50 mark-left")
    assert text(next(iter(stream))) == "1 "
    assert tokens.ended("mark-left") is None
    stream.close()
    left = time.time()
    wait_until(lambda: tokens.ended("mark-left"), seconds=10)
    how, at = tokens.ended("mark-left") or ("", 0.0)
    assert how == "left"
    assert at - left < 5
    assert len(tokens.times("mark-left")) < 500


def test_a_mark_stands_for_its_newest_answer(tokens: TokenServer, client: openai.OpenAI) -> None:
    assert (tokens.asked("mark-twice"), tokens.times("mark-twice"), tokens.ended("mark-twice")) == (0, {}, None)
    for count in (3, 2):
        list(ask(client, f"count to {count} at 500 mark-twice"))
    assert tokens.asked("mark-twice") == 2
    assert list(tokens.times("mark-twice")) == [1, 2]


def test_every_subject_can_ask_for_a_table_and_an_echo(client: openai.OpenAI) -> None:
    table = "".join(map(text, ask(client, "a table, please, at 5000")))
    assert table.count("\n|") >= 5
    assert "```python" in table
    assert max(map(len, table.split())) > 60
    assert "".join(map(text, ask(client, "echo hello there"))) == "You said: hello there"
    assert "".join(map(text, ask(client, "Good morning."))) == "You said: Good morning."
    assert [model.id for model in client.models.list()] == ["tokens"]


def test_what_was_said_last_counts() -> None:
    turns = [
        {"role": "user", "content": "count to 3"},
        {"role": "assistant", "content": "1 2 3"},
        {"role": "user", "content": [{"type": "text", "text": "count to"}, {"type": "text", "text": "5 at 10"}]},
        {"role": "assistant", "content": None},
    ]
    said, rate, fails = script(last_message({"messages": turns}))
    assert (said[-1], rate, fails) == ("5 ", 10, False)


def test_what_it_is_not_told_is_usual() -> None:
    assert script("Count to 2") == (["1 ", "2 "], 50, False)
    assert script("fail after 2 at 5") == (["1 ", "2 "], 5, True)
