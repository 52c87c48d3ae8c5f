"""Where models come from: real folders and a server on loopback, behind a real Router."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from core.engine.router import Router
from core.errors import ModelError, ModelNotFound, ModelTooLarge
from core.models import BASE_BYTES
from core.sources import MOST_REMOTE, GivenModel, LocalModels, RemoteModels
from tests.core.test_router import Asked, states
from tests.support.clock import wait_until
from tests.support.hub import COMMIT, model_hub
from tests.support.models import make_chat_model
from tests.support.openai_server import OpenAIServer
from tests.support.runner import ScriptedRunner

BUDGET = 2 * 10**9


@pytest.fixture
def local() -> Iterator[Router]:
    router = Router(LocalModels(BUDGET, nullcontext), BUDGET, BASE_BYTES)
    yield router
    router.close()


def test_real_models_answer_side_by_side(local: Router, chat_model: Path, tmp_path: Path) -> None:
    other = make_chat_model(tmp_path / "other", seed=1)
    local.start([("", str(chat_model)), ("mine", str(other))])
    wait_until(lambda: states(local) == {"tiny-chat": "ready", "mine": "ready"})
    first, second = local.entries()
    assert first.info is not None
    assert second.info is not None
    assert second.info.name == "mine"
    assert first.needs == first.info.memory > 0
    assert Asked(local).text != Asked(local, "mine").text
    assert local.defaults.max_tokens == 512
    with pytest.raises(ModelNotFound):
        local.load("./nowhere")
    with pytest.raises(ModelTooLarge, match=r"needs about 0\.7 GB"):
        LocalModels(10**6, nullcontext).find(str(chat_model), lambda done, total: None)


def test_a_folder_is_one_model_however_it_is_written(local: Router, chat_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.start([("", str(chat_model))])
    monkeypatch.chdir(chat_model.parent)
    assert local.load("./tiny-chat").state == "ready"
    assert len(local.entries()) == 1


def test_a_model_that_vanished_says_so_when_it_is_asked_again(local: Router, chat_model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(chat_model, tmp_path / "copy"))
    local.start([("", str(chat_model)), ("", str(copy))])
    wait_until(lambda: states(local)["copy"] == "ready")
    local.unload("copy")
    shutil.rmtree(copy)
    with pytest.raises(ModelNotFound):
        local.load(str(copy))


def test_the_weights_of_a_real_model_are_given_back(local: Router, chat_model: Path, tmp_path: Path) -> None:
    """Also after `gc.freeze`, which the server calls when all is loaded: else a model's own cycles would keep it."""
    large = make_chat_model(tmp_path / "large", hidden=1024)
    size = (large / "model.safetensors").stat().st_size
    local.start([("", str(chat_model)), ("", str(large))])
    wait_until(lambda: states(local)["large"] == "ready")
    assert Asked(local, "large").text is not None
    gc.freeze()
    try:
        before = psutil.Process().memory_info().rss
        local.unload("large")
        assert before - psutil.Process().memory_info().rss > 0.9 * size
    finally:
        gc.unfreeze()


def test_models_of_another_server() -> None:
    listed = {"object": "list", "data": [{"id": "small", "object": "model"}, {"id": "org/large", "object": "model"}]}

    async def chat(call: object) -> None:
        await call.begin()  # type: ignore[attr-defined]
        await call.say(str(call.body["model"]), reason="stop")  # type: ignore[attr-defined]
        await call.event("[DONE]")  # type: ignore[attr-defined]
        await call.end()  # type: ignore[attr-defined]

    with OpenAIServer(chat, listed) as server:
        source = RemoteModels(server.url, "")
        router = Router(source)
        router.start([("", name) for name in source.names()])
        wait_until(lambda: states(router) == {"small": "ready", "org/large": "ready"})
        assert Asked(router).text == "small"
        assert Asked(router, "org/large").text == "org/large"
        router.load("org/large", "alias")
        wait_until(lambda: states(router)["alias"] == "ready")
        assert Asked(router, "alias").text == "org/large", "the server is asked by its own name"
        router.load("none")
        wait_until(lambda: states(router)["none"] == "failed")
        assert "does not serve 'none'" in router.entries()[-1].error
        assert [entry.needs for entry in router.entries()] == [0, 0, 0, 0], "its memory is not ours"
        listed["data"] = [{"id": f"m{number}", "object": "model"} for number in range(MOST_REMOTE + 1)]
        with pytest.raises(ModelError, match="has 33 models"):
            source.names()
        router.close()


def test_a_given_runner_is_the_one_model() -> None:
    router = Router(GivenModel(ScriptedRunner(["Hel", "lo"])))
    router.start([("", "Scripted")])
    assert Asked(router).text == "Hello"
    with pytest.raises(ModelNotFound):
        router.load("other")
    router.close()


def test_a_model_of_the_hub_comes_back_as_it_was_and_without_asking_the_hub(chat_model: Path, tmp_path: Path) -> None:
    code = """
import sys, urllib.request
from contextlib import nullcontext, suppress
from core.sources import LocalModels
source, quiet = LocalModels(8 * 10**9, nullcontext), lambda done, total: None
for endpoint in sys.argv[1:]:
    engine = source.find("org/tiny", quiet).load(10**6, quiet)
    print(engine.model.revision)
    engine.close()
    with suppress(Exception):
        urllib.request.urlopen(endpoint + "/loaded")
"""
    with model_hub({"org/tiny": chat_model}) as (endpoint, asked):
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1"}
        ran = subprocess.run(
            [sys.executable, "-c", code, endpoint, endpoint], env=environment, capture_output=True, text=True, timeout=120
        )
    assert ran.stdout.split() == [COMMIT, COMMIT], ran.stderr
    first = asked.index("GET /loaded")
    assert first > 0
    assert asked[first + 1 :] == ["GET /loaded"]
