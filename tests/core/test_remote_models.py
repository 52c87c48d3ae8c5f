"""What is asked of a remote engine's server before anything else, and which addresses and keys are refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from core.engine.remote import RemoteEngine, list_models
from core.errors import ModelError
from core.types import ModelInfo
from tests.support.openai_server import OpenAIServer, Script, answering

SMALL = ModelInfo("small", device="remote")
KEY = "sk-a-key-that-nobody-may-see"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def test_the_models(server: OpenAIServer) -> None:
    server.models = {"data": [
        {"id": "small", "max_model_len": 2048}, {"id": "gguf", "meta": {"n_ctx_train": 8192, "n_params": 3_000_000}},
        {"id": "plain"}, {"id": "odd", "max_model_len": "many"}, {"id": 5}, "x", {"id": "bell\a"},
    ]}  # fmt: skip
    found = list_models(server.url + "/", KEY)
    assert [(one.name, one.context, one.parameters, one.device) for one in found] == [
        ("small", 2048, 0, "remote"), ("gguf", 8192, 3_000_000, "remote"), ("plain", 4096, 0, "remote"),
        ("odd", 4096, 0, "remote"),
    ]  # fmt: skip
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert [one.name for one in list_models(server.url, KEY, ["plain", "small"])] == ["plain", "small"]
    with pytest.raises(ModelError, match="does not serve 'large'; --model can be one of: 'small', 'gguf', 'plain', 'odd'"):
        list_models(server.url, KEY, ["large"])


@pytest.mark.parametrize(
    ("models", "key", "sentence"),
    [
        (answering(401, b""), "", "asks for a key. Set its key with PORTICO_ENGINE_KEY"),
        (answering(401, b""), KEY, "does not accept the key in PORTICO_ENGINE_KEY"),
        (answering(404, b""), "", "no OpenAI-compatible server"),
        (answering(200, b"<html>"), "", "no OpenAI-compatible server"),
        (answering(200, {"data": {"a": 1}}), "", "no OpenAI-compatible server"),
        (answering(200, {"data": []}), "", "serves no model"),
        (answering(302, b"", "location: http://elsewhere/"), KEY, "points to another address"),
        (answering(503, b""), "", "busy or still starting"),
        (answering(500, b""), "", "answers with an error"),
        (answering(200, b"x" * 6_000_000), "", "does not come to an end"),
    ],
)
def test_a_server_without_models_stops_the_start_with_a_sentence(
    server: OpenAIServer, models: Script, key: str, sentence: str
) -> None:
    server.models = models
    with pytest.raises(ModelError, match=sentence):
        list_models(server.url, key)
    server.errors.clear()  # it may have been hung up on


def test_the_v1_that_was_forgotten(server: OpenAIServer) -> None:
    server.models = answering(404, b"")
    with pytest.raises(ModelError, match=r"Did you mean http://127.0.0.1:\d+/v1\?"):
        list_models(server.url.removesuffix("/v1"), "")


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ModelError, match="cannot be reached: nobody listens there"):
        list_models(f"http://127.0.0.1:{port}/v1", "")


@pytest.mark.timeout(8)
def test_who_asks_says_how_long_to_wait() -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # it takes the connection, and says nothing
    with silent, pytest.raises(ModelError, match="it does not answer in time"):
        list_models(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "", patience_s=0.2)


@pytest.mark.parametrize(
    ("url", "key", "sentence"),
    [
        ("localhost:8000", "", "--engine: give local, or the URL of a server"),
        ("ftp://localhost/v1", "", "--engine: give local, or the URL of a server"),
        ("http://", "", "--engine: give local, or the URL of a server"),
        ("http://h:99999/v1", "", "--engine: give local, or the URL of a server"),
        ("http://[::1/v1", "", "--engine: give local, or the URL of a server"),
        ("http://user:hunter2@localhost/v1", "", "without a name or key in it"),
        ("http://localhost/v1?key=hunter2", "", "from \\? or # on"),
        ("http://localhost/v1#hunter2", "", "from \\? or # on"),
        ("http://localhost/v1?", "", "from \\? or # on"),
        ("http://local host/v1", "", "give local, or the URL"),
        ("http://bücher.example/v1", "", "give local, or the URL"),
        ("http://api.example.com/v1", KEY, "unencrypted"),
        ("http://8.8.8.8/v1", KEY, "unencrypted"),
        ("http://localhost/v1", "hunter2\nx: y", "characters that no key has"),
        ("http://localhost/v1", "hunter2 ö", "characters that no key has"),
    ],
)
def test_addresses_and_keys_that_are_refused(url: str, key: str, sentence: str) -> None:
    for attempt in (lambda: list_models(url, key), lambda: RemoteEngine(url, key, SMALL)):
        with pytest.raises(ModelError, match=sentence) as refused:
            attempt()
        assert "hunter2" not in refused.value.message
        assert KEY not in refused.value.message


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/v1", "http://10.1.2.3/v1", "http://[fd00::1]/v1", "http://vllm:8000/v1", "http://gpu.local/v1",
     "https://api.example.com/v1", "http://100.64.0.5/v1"],
)  # fmt: skip
def test_a_key_travels_in_private_networks_and_by_https(url: str) -> None:
    RemoteEngine(url, KEY, SMALL).close()
