"""The remote engine against a server whose every byte is scripted."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import core.engine.remote_models
from core.engine.remote import Patience, RemoteEngine, list_models
from core.engine.remote_answer import MAX_LINE, MAX_TEXT
from core.errors import ModelError
from core.types import Delta, Message, ModelInfo, Started
from tests.support.asked import Asked
from tests.support.certificate import make_certificate
from tests.support.clock import wait_until
from tests.support.openai_server import DONE, Call, OpenAIServer, Script, answering

SMALL = ModelInfo("small", device="remote")
KEY = "sk-a-key-that-nobody-may-see"
USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
USUAL, QUICK = Patience(), Patience(connect=1, first=0.8, between=0.8)
SOON = 1.5  # seconds within which the other side must have noticed

Serve = Callable[..., tuple[OpenAIServer, RemoteEngine]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    opened: list[Any] = []

    def make(chat: Script | None = None, key: str = "", patience: Patience = USUAL) -> tuple[OpenAIServer, RemoteEngine]:
        server = OpenAIServer(chat).__enter__()
        engine = RemoteEngine(server.url, key, SMALL, patience)
        opened.append((server, engine))
        return server, engine

    yield make
    for server, engine in opened:
        engine.close()
        server.__exit__(None, None, None)


async def hello(call: Call) -> None:
    await call.begin()
    await call.say("Hel", "lo", reason="stop")
    await call.event(USAGE)
    await call.event(DONE)
    await call.end()


async def endless(call: Call) -> None:
    await call.begin()
    while True:
        await call.say("word ")
        await asyncio.sleep(0.01)


async def silent(call: Call) -> None:
    await asyncio.sleep(60)


def streaming(*pieces: bytes) -> Script:
    async def script(call: Call) -> None:
        await call.begin()
        for piece in pieces:
            await call.raw(piece)
        await call.end()

    return script


def test_an_answer_is_streamed(serve: Serve) -> None:
    _, engine = serve(hello)
    asked = Asked(engine)
    end = asked.finished()
    assert asked.events[:-1] == [Started(), Delta("Hel"), Delta("lo")]
    assert (end.reason, end.usage.prompt_tokens, end.usage.tokens) == ("stop", 7, 3)
    assert 0 < end.usage.first_token_s <= end.usage.total_s < 10
    assert engine.busy == 0


def test_the_server_is_asked_with_the_key_the_messages_and_every_parameter(serve: Serve) -> None:
    server, engine = serve(hello, KEY)
    turns = (Message("system", "Be brief."), Message("user", "one"), Message("assistant", "1"), Message("user", "two"))
    Asked(engine, "a", messages=turns, temperature=0.5, top_p=0.9, top_k=40, min_p=0.1, repetition_penalty=1.2, max_tokens=9,
          seed=4, stop=("###",)).finished()  # fmt: skip
    call = server.asked[0]
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body == {
        "model": "small", "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5, "top_p": 0.9,
        "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.2, "max_tokens": 9, "seed": 4, "stop": ["###"],
        "messages": [{"role": one.role, "content": one.content} for one in turns],
    }  # fmt: skip


def test_parameters_that_are_not_openais_are_sent_only_if_they_change_something(serve: Serve) -> None:
    server, engine = serve(hello)
    Asked(engine, seed=1).finished()
    assert set(server.asked[0].body) == {
        "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "seed",
    }  # fmt: skip
    assert "authorization" not in server.asked[0].headers


def test_answers_one_after_another_share_a_connection(serve: Serve) -> None:
    server, engine = serve(hello)
    idle = len(asyncio.all_tasks(engine._loop))
    for name in "abc":
        Asked(engine, name).finished()
        # The end is told at its event; the connection is free once the stream has been read to its own end.
        wait_until(lambda: len(asyncio.all_tasks(engine._loop)) == idle)
    assert {call.connection for call in server.asked} == {1}


def test_a_server_that_goes_on_after_the_end_is_left(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.say("all", reason="stop")
        await call.event(DONE)
        while True:
            await call.say("more")
            await asyncio.sleep(0.05)

    server, engine = serve(script)
    asked = Asked(engine)
    assert (asked.finished().reason, asked.text) == ("stop", "all")
    assert server.asked[0].gone.wait(5)
    assert asked.text == "all"


@pytest.mark.parametrize(
    ("said", "reason"),
    [("length", "length"), ("stop", "stop"), ("eos_token", "stop"), ("content_filter", "stop"), ("tool_calls", "stop")],
)
def test_why_it_ended(serve: Serve, said: str, reason: str) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.say("a", reason=said)
        await call.event(DONE)
        await call.end()

    _, engine = serve(script)
    assert Asked(engine).finished().reason == reason


def test_a_stream_in_any_shape_is_read(serve: Serve) -> None:
    """Comments, a byte order of its own making: cut anywhere, CRLF, no space after the colon, separators of lines within JSON."""
    text = 'data:{"choices":[{"delta":{"content":"a\u2028b\\u0000c \U0001f3db\\ud800"}}]}\r\n\r\n: still here\r\n\r\n'
    rest = 'event: message\ndata: {"choices":[{"delta":{"content":null},"finish_reason":"stop"}]}\n\n'
    data = (text + rest).encode()
    _, engine = serve(streaming(*(data[at : at + 1] for at in range(len(data)))))
    asked = Asked(engine)
    assert asked.finished().reason == "stop"
    assert asked.text == "a\u2028bc \U0001f3db"


def test_thoughts_are_counted_and_not_shown(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        for name in ("reasoning_content", "reasoning"):
            await call.event({"choices": [{"delta": {name: "let me think"}}]})
        await asyncio.sleep(1)
        await call.say("42", reason="stop")
        await call.event(DONE)
        await call.end()

    _, engine = serve(script)
    asked = Asked(engine)
    end = asked.finished()
    assert (asked.text, end.usage.tokens) == ("42", 3)
    assert end.usage.first_token_s < end.usage.total_s - 0.3


def test_a_count_that_comes_with_each_piece_is_the_one_that_counts(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        for tokens in (4, 9):
            usage = {"prompt_tokens": 5, "completion_tokens": tokens}
            await call.event({"choices": [{"delta": {"content": "several words"}}], "usage": usage})
        await asyncio.sleep(60)

    _, engine = serve(script)
    asked = Asked(engine)
    wait_until(lambda: len(asked.events) == 3)
    engine.cancel("a")
    assert (asked.finished().usage.prompt_tokens, asked.finished().usage.tokens) == (5, 9)


def test_cancel_hangs_up_and_keeps_the_text(serve: Serve) -> None:
    server, engine = serve(endless)
    asked = Asked(engine)
    wait_until(lambda: len(asked.text) > 20)
    at = time.monotonic()
    engine.cancel("a")
    assert asked.done.is_set()  # at once, by this very call
    assert server.asked[0].gone.wait(SOON)
    assert time.monotonic() - at < SOON
    end, events = asked.finished(), len(asked.events)
    assert (end.reason, end.usage.tokens) == ("cancelled", asked.text.count("word"))
    Asked(engine, "b")
    wait_until(lambda: len(server.asked) == 2)
    assert len(asked.events) == events
    engine.cancel("a")
    engine.cancel("unknown")


def test_cancel_before_the_server_has_answered(serve: Serve) -> None:
    server, engine = serve(silent)
    asked = Asked(engine)
    wait_until(lambda: server.asked)
    engine.cancel("a")
    assert asked.done.is_set()
    assert server.asked[0].gone.wait(SOON)
    assert asked.finished().reason == "cancelled"
    assert asked.events == [asked.events[-1]]


def test_cancel_in_the_middle_of_connecting() -> None:
    with never_accepting() as url:
        before = connecting(url)
        engine = RemoteEngine(url, "", SMALL)
        asked, at_once = Asked(engine), Asked(engine, "b")
        engine.cancel("b")
        wait_until(lambda: connecting(url) - before, what="a connection that is being made")
        engine.cancel("a")
        assert asked.finished().reason == "cancelled"
        assert at_once.finished().reason == "cancelled"
        at = time.monotonic()
        engine.close()
        assert time.monotonic() - at < SOON


def test_many_cancelled_requests_leave_no_connection_behind(serve: Serve) -> None:
    server, engine = serve(endless)
    asked = [Asked(engine, str(number), user=f"user {number % 4}") for number in range(256)]
    refused = Asked(engine, "one more").failed()
    assert (refused.code, "busy" in refused.message) == ("busy", True)
    for number in range(256):
        engine.cancel(str(number))
    assert all(one.finished().reason == "cancelled" for one in asked)
    wait_until(lambda: all(call.gone.is_set() for call in server.asked), SOON * 4)
    server.chat = hello
    assert [Asked(engine, f"b{number}").finished().reason for number in range(3)] == ["stop"] * 3


def test_one_person_has_a_quarter_of_all_requests(serve: Serve) -> None:
    server, engine = serve(silent)
    for number in range(64):
        Asked(engine, str(number))
    refused = Asked(engine, "one more").failed()
    assert (refused.code, "64 requests of yours" in refused.message) == ("busy", True)
    other = Asked(engine, "another's", user="bo")
    wait_until(lambda: len(server.asked) == 65)
    assert not other.events


def test_closing_ends_everything_as_interrupted(serve: Serve) -> None:
    server, engine = serve(endless)
    running = Asked(engine)
    wait_until(lambda: running.text)
    server.chat = silent
    waiting = Asked(engine, "b")
    wait_until(lambda: len(server.asked) == 2)
    at = time.monotonic()
    engine.close()
    assert time.monotonic() - at < SOON
    for asked in (running, waiting):
        assert (asked.failed().code, "The server stopped" in asked.failed().message) == ("interrupted", True)
    assert all(call.gone.wait(SOON) for call in server.asked)
    assert "shutting down" in Asked(engine, "c").failed().message
    engine.cancel("a")
    engine.close()


def openai_error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


REFUSALS = [
    (400, openai_error("temperature must be at most 1"), "refused this: temperature must be at most 1", "refused"),
    (422, {"detail": [{"msg": "Field required"}]}, "Field required", "refused"),
    (400, b"not JSON \x1b[31m at all", "not JSON [31m at all", "refused"),
    (400, openai_error("This server does not support 'min_p'.", param="min_p"), "Set Min-p back to 0", "refused"),
    (400, openai_error("Unrecognized request argument supplied: top_k"), "Set Top-k back to 0", "refused"),
    (422, {"detail": [{"loc": ["body", "repetition_penalty"]}]}, "Set Repetition penalty back to 1", "refused"),
    (400, openai_error("whatever", code="context_length_exceeded"), "longer than the model can read", "context_length_exceeded"),
    (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
     "longer than the model can read", "context_length_exceeded"),  # vLLM
    (400, {"error": {"code": 400, "message": "too much", "type": "exceed_context_size_error"}},
     "longer than the model can read", "context_length_exceeded"),  # llama.cpp
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096", "error_type": "validation"},
     "longer than the model can read", "context_length_exceeded"),  # TGI
    (413, b"", "longer than the model can read", "context_length_exceeded"),
    (401, openai_error(f"Incorrect key: {KEY}"), "check PORTICO_ENGINE_KEY", "internal"),
    (403, openai_error("no"), "check PORTICO_ENGINE_KEY", "internal"),
    (404, openai_error("no such model"), "check --engine", "internal"),
    (307, b"", "check --engine", "internal"),
    (429, openai_error("slow down"), "busy. Try again in a minute", "busy"),
    (429, openai_error("pay", code="insufficient_quota"), "quota at the model's server is used up", "internal"),
    (503, openai_error("loading"), "busy. Try again in a minute", "busy"),
    (500, openai_error("CUDA out of memory"), "The model's server had an error", "internal"),
    (502, b"<html>Bad Gateway</html>", "The model's server had an error", "interrupted"),
    (200, {"choices": [{"message": {"content": "whole"}}]}, "The model's server had an error", "internal"),
    (200, openai_error("inside"), "The model's server had an error", "internal"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "sentence", "code"), REFUSALS)
def test_a_refusal_is_a_sentence(serve: Serve, status: int, body: Any, sentence: str, code: str) -> None:
    _, engine = serve(answering(status, body, "location: /elsewhere"), KEY)
    asked = Asked(engine, top_k=5, min_p=0.1, repetition_penalty=1.5)
    end = asked.failed()
    assert sentence in end.message
    assert end.code == code
    assert asked.events == [end]


def test_a_parameter_that_was_not_sent_need_not_be_reset(serve: Serve) -> None:
    _, engine = serve(answering(400, openai_error("give seed, not min_p")))
    assert Asked(engine).failed().message == "The model's server refused this: give seed, not min_p"


def test_when_to_come_back_is_told(serve: Serve) -> None:
    _, engine = serve(answering(429, openai_error("slow down"), "retry-after: 17"))
    end = Asked(engine).failed()
    assert (end.message, end.retry_s) == ("The model is busy. Try again in 17 s.", 17)


def test_in_a_stream_too(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.say("a")
        await call.event(openai_error("the GPU fell off", code=500))
        await asyncio.sleep(60)

    server, engine = serve(script)
    asked = Asked(engine)
    assert "had an error" in asked.failed().message
    assert "GPU" not in asked.failed().message
    assert asked.text == "a"
    assert server.asked[0].gone.wait(SOON)


@pytest.mark.parametrize(
    "data",
    [
        b"data: {not json}\n\n", b"data: [1, 2]\n\n", b'data: {"choices": 5}\n\n', b'data: {"choices": [5]}\n\n',
        b'data: {"choices": [{"delta": "x"}]}\n\n', b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)  # fmt: skip
def test_what_is_no_completion(serve: Serve, data: bytes) -> None:
    _, engine = serve(streaming(data))
    assert "no chat completion" in Asked(engine).failed().message


def test_a_stream_that_is_only_cut_short(serve: Serve) -> None:
    _, engine = serve(streaming(b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'))
    asked = Asked(engine)
    assert (asked.failed().code, "broke off" in asked.failed().message, asked.text) == ("interrupted", True, "half")


def test_a_run_that_the_server_gave_up(serve: Serve) -> None:
    _, engine = serve(streaming(b'data: {"choices": [{"delta": {}, "finish_reason": "abort"}]}\n\n', b"data: [DONE]\n\n"))
    assert "broke off" in Asked(engine).failed().message


@pytest.mark.parametrize("begun", [False, True])
def test_a_connection_that_is_lost(serve: Serve, begun: bool) -> None:
    async def script(call: Call) -> None:
        if begun:
            await call.begin()
            await call.say("half")
        call.writer.close()

    _, engine = serve(script)
    asked = Asked(engine)
    assert (asked.failed().code, "broke off" in asked.failed().message) == ("interrupted", True)
    assert asked.text == ("half" if begun else "")


def test_a_connection_that_is_lost_after_the_reason_has_lost_nothing(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.say("whole", reason="stop")
        call.writer.close()

    _, engine = serve(script)
    assert Asked(engine).finished().reason == "stop"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    engine = RemoteEngine(url, "", SMALL)
    end = Asked(engine).failed()
    engine.close()
    assert ("cannot be reached" in end.message, end.code) == (True, "interrupted")


def test_a_server_that_cannot_be_connected_to_in_time() -> None:
    with never_accepting() as url:
        engine = RemoteEngine(url, "", SMALL, Patience(connect=0.3))
        assert "cannot be reached" in Asked(engine).failed().message
        engine.close()


@pytest.mark.parametrize("says", [False, True])
def test_a_server_that_falls_silent(serve: Serve, says: bool) -> None:
    async def script(call: Call) -> None:
        if says:
            await call.begin()
            await call.say("half")
        await asyncio.sleep(60)

    server, engine = serve(script, "", QUICK)
    assert "fell silent" in Asked(engine).failed().message
    assert server.asked[0].gone.wait(SOON)


def test_a_signal_of_life_is_enough(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        for _ in range(24):
            await call.raw(b": still here\n\n")
            await asyncio.sleep(0.05)
        await call.say("late", reason="stop")
        await call.end()

    _, engine = serve(script, "", QUICK)
    assert Asked(engine).finished().reason == "stop"


def test_a_line_without_an_end_fills_no_memory(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        await call.raw(b"data: ")
        while True:
            await call.raw(b"x" * 50_000)

    server, engine = serve(script)
    assert "no chat completion" in Asked(engine).failed().message
    assert server.asked[0].gone.wait(SOON)


def test_nor_does_an_answer_without_one(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.begin()
        while True:
            await call.say("x" * (MAX_LINE // 2))

    server, engine = serve(script)
    asked = Asked(engine)
    assert "does not come to an end" in asked.failed().message
    assert len(asked.text) <= MAX_TEXT
    assert server.asked[0].gone.wait(SOON)


def test_nor_does_a_refusal(serve: Serve) -> None:
    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await call.raw(b"x" * 50_000)

    _, engine = serve(script)
    assert len(Asked(engine).failed().message) < 500


def test_a_conversation_that_is_too_long_loses_its_oldest_turns(serve: Serve) -> None:
    async def script(call: Call) -> None:
        if len(call.body["messages"]) > 4:
            await call.answer(400, openai_error("no", code="context_length_exceeded"))
        else:
            await hello(call)

    server, engine = serve(script)
    turns = tuple(Message("assistant" if number % 2 else "user", str(number)) for number in range(13))
    asked = Asked(engine, "a", messages=(Message("system", "Be brief."), *turns))
    assert asked.finished().reason == "stop"
    assert [event for event in asked.events if isinstance(event, Started)] == [Started()]
    sent = [[one["content"] for one in call.body["messages"]] for call in server.asked]
    assert [len(one) for one in sent] == [14, 10, 8, 6, 4]
    assert sent[1:] == [["Be brief.", *(one.content for one in turns[-len(rest) + 1 :])] for rest in sent[1:]]


def test_a_server_that_says_so_in_its_stream_is_asked_again_too(serve: Serve) -> None:
    """SGLang begins the stream before it has counted."""

    async def script(call: Call) -> None:
        if len(call.body["messages"]) == 1:
            return await hello(call)
        await call.begin()
        await call.event(openai_error("longer than the model's context length", code=400))
        return await call.end()

    _, engine = serve(script)
    asked = Asked(engine, "a", messages=(Message("user", "1"), Message("assistant", "2"), Message("user", "3")))
    assert asked.finished().reason == "stop"
    assert asked.events[:-1] == [Started(), Delta("Hel"), Delta("lo")]


def test_a_message_that_is_too_long_itself_is_refused(serve: Serve) -> None:
    server, engine = serve(answering(400, openai_error("no", code="context_length_exceeded")))
    asked = Asked(engine, "a", messages=(Message("system", "Be brief."), Message("user", "long")))
    assert asked.failed().code == "context_length_exceeded"
    assert len(server.asked) == 1


def test_the_key_is_in_no_log_error_or_repr(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, engine = serve(answering(401, openai_error(f"Incorrect API key provided: {KEY}")), KEY)
    first = Asked(engine).failed()
    server, engine = serve(answering(400, openai_error(f"Bad request of {KEY}")), KEY)
    second = Asked(engine).failed()
    server.models = answering(401, openai_error(KEY))
    with pytest.raises(ModelError) as refused:
        list_models(server.url, KEY)
    assert "[key]" in second.message
    seen = [caplog.text, repr(engine), repr(vars(engine)), repr(first), repr(second), refused.value.message]
    assert not any(KEY in text for text in seen)
    assert "status 401" in caplog.text


def test_the_environments_proxy_is_not_asked_for_this_machine(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server, engine = serve(hello)
    assert Asked(engine).finished().reason == "stop"
    assert list_models(server.url, "")


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with OpenAIServer(hello, tls=tls) as server:
        with pytest.raises(ModelError, match="its certificate is not valid: self-signed"):
            list_models(server.url, KEY)
        engine = RemoteEngine(server.url, KEY, SMALL)
        assert "cannot be reached" in Asked(engine).failed().message
        engine.close()
        assert not server.calls  # so nobody has seen the key
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(core.engine.remote_models, "_trust", lambda: trusting)
        engine = RemoteEngine(server.url, KEY, list_models(server.url, KEY)[0])
        assert Asked(engine).finished().reason == "stop"
        server.chat = endless
        asked = Asked(engine, "b")
        wait_until(lambda: asked.text)
        engine.cancel("b")
        assert server.asked[-1].gone.wait(SOON)
        engine.close()


def test_torch_is_not_needed() -> None:
    check = "import sys, core.engine.remote; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def connecting(url: str) -> set[Any]:
    """This process's connections to `url` that are not there yet, each by its own port."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    found = psutil.Process().net_connections("tcp4")
    return {one.laddr for one in found if one.raddr and one.raddr.port == port and one.status == psutil.CONN_SYN_SENT}


@contextmanager
def never_accepting() -> Iterator[str]:
    """The address of a server whose backlog is full: connecting to it hangs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            for one in waiting:
                one.close()
