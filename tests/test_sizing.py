"""What `doctor` says of memory; it loads nothing, imports no torch and asks no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auth.doctor import Finding
from core.references import BUNDLED_MODEL
from core.settings import load_settings
from sizing import check_memory
from tests.support.models import make_chat_model
from tests.support.openai_server import OpenAIServer
from tests.support.serve import ROOT

GUIDE = str(BUNDLED_MODEL)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those that a test gives, and an empty hub cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORTICO_MODEL", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def found(**given: Any) -> list[Finding]:
    return list(check_memory(load_settings(given)))


def levels(findings: list[Finding]) -> list[str]:
    return [one.level for one in findings]


def test_the_limit_and_what_the_model_takes_of_it() -> None:
    limit, guide = found(memory="4GB")
    assert levels([limit, guide]) == ["ok", "ok"]
    assert limit.text.startswith("The limit is 4 GB, by --memory.")
    assert guide.text.startswith("Portico Guide: about ")
    assert "weights in float32" in guide.text
    assert "MB for each 1,000 tokens of a chat" in guide.text
    assert "what this machine or its container has" in found()[0].text


@pytest.mark.parametrize(
    ("memory", "says"), [("500MB", "Nothing is left for a model: raise --memory."), ("702MB", "choose a smaller model, or raise")]
)
def test_what_does_not_fit_is_wrong(memory: str, says: str) -> None:
    *_, last = found(memory=memory)
    assert last.level == "wrong"
    assert says in last.text


def test_half_the_bytes_are_taken_where_only_those_fit() -> None:
    assert "weights in bfloat16" in found(memory="709MB")[1].text


def test_models_that_fit_alone_but_not_together_are_told(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        shutil.copytree(GUIDE, tmp_path / name)
    given = [f"{name}={tmp_path / name}" for name in ("a", "b", "c")]
    assert levels(found(model=given, memory="4GB")) == ["ok"] * 4
    *each, last = found(model=given, memory="740MB")
    assert levels(each) == ["ok"] * 4
    assert last.level == "warning"
    assert last.text.startswith("Together they need ")


def test_what_is_not_fetched_or_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, hub, gone, empty = found(model=["org/name", "./nothing", str(tmp_path / "empty")], memory="4GB")
    assert (hub.level, hub.text) == ("note", "org/name is not on this machine yet. What it takes is known when it was fetched.")
    assert (gone.level, "no such folder" in gone.text) == ("wrong", True)
    assert (empty.level, "no config.json" in empty.text) == ("wrong", True)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("~nobody-of-this-name/x", "there is no such folder"), ("/" + "x" * 300, "there is no such folder"),
        ("org/na--me", "this is no name of a model on the hub"),
    ],
)  # fmt: skip
def test_what_can_be_no_model_is_said(model: str, says: str) -> None:
    _, only = found(model=[model], memory="4GB")
    assert (only.level, says in only.text) == ("wrong", True)


def test_a_hub_models_files_are_looked_for_in_the_cache(tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--name"
    make_chat_model(repo / "snapshots" / "abc")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc")
    assert "weights in float32" in found(model=["org/name"], memory="4GB")[1].text
    assert "not on this machine yet" in found(model=["org/name@other"], memory="4GB")[1].text


def test_another_servers_memory_is_its_own_matter_and_whether_it_answers_is_told() -> None:
    with OpenAIServer() as server:
        server.models = {"data": [{"id": name} for name in "abcdefg"]}
        memory, engine = found(engine=server.url)
        assert memory.level == "note"
        assert (engine.level, engine.text) == ("ok", f"{server.url} answers, and serves a, b, c, d, e and 2 more.")
        *_, engine = found(engine=server.url, model=["a", "mine=z"])
        assert (engine.level, "does not serve 'z'" in engine.text) == ("wrong", True)
    *_, engine = found(engine=server.url)
    assert (engine.level, "cannot be reached: nobody listens there" in engine.text) == ("wrong", True)


def test_it_takes_no_large_import() -> None:
    code = """
import sys
from core.settings import load_settings
from sizing import check_memory
assert list(check_memory(load_settings({"model": [sys.argv[1]]})))
sys.exit("torch" in sys.modules or "transformers" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, GUIDE], check=True, cwd=ROOT)
