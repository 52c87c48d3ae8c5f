"""Finding, checking and loading models: real files, and a hub on loopback that the real client talks to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import ModelError, ModelNotFound, ModelTooLarge, NotAChatModel
from core.hub import reporting_bar
from core.models import Checked, find_model, load_model, memory_limit, memory_needed, parse_reference, sampling_defaults
from core.settings import BUNDLED_MODEL
from tests.support.hub import COMMIT, model_hub

ENOUGH = 8 * 10**9


def find(folder: Path, budget: int = ENOUGH) -> Checked:
    return find_model(parse_reference(str(folder)), budget, threading.Lock(), lambda done, total: None)


@pytest.fixture
def copy(chat_model: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may break."""
    return Path(shutil.copytree(chat_model, tmp_path / "copy"))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_reference_is_a_hub_id_with_or_without_a_revision_or_a_folder(chat_model: Path) -> None:
    assert parse_reference("Qwen/Qwen3-0.6B").hub_id == "Qwen/Qwen3-0.6B"
    pinned = parse_reference("Qwen/Qwen3-0.6B@v1.2")
    assert (pinned.hub_id, pinned.revision) == ("Qwen/Qwen3-0.6B", "v1.2")
    assert parse_reference(str(chat_model)).folder == chat_model
    assert parse_reference(str(BUNDLED_MODEL)).name == "Portico Guide"


@pytest.mark.parametrize("text", ["./no/such/folder", "/no/such", "no spaces allowed", "a/b/c", "", "~/nothing-here-at-all"])
def test_what_is_neither_says_what_to_give(text: str) -> None:
    with pytest.raises(ModelNotFound, match="Give a folder, or a hub id"):
        parse_reference(text)


def test_a_local_model_is_loaded_with_progress(chat_model: Path) -> None:
    seen: list[tuple[int, int]] = []
    runner = load_model(find(chat_model), threading.Lock(), lambda done, total: seen.append((done, total)), 10**7)
    assert runner.model.name == "tiny-chat"
    assert runner.model.context == 256
    assert runner.model.parameters > 10_000
    assert runner.model.memory == find(chat_model).weights + 10**7
    assert 0 < runner.capacity <= 10**7 // (2 * 2 * 2 * 8 * 4), "no more tokens than the cache may hold: 2 layers, 2 heads of 8"
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 10
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_model_over_the_budget_is_refused_before_its_weights_are_read(chat_model: Path) -> None:
    with pytest.raises(ModelTooLarge, match=r"needs about 0\.7 GB and the memory limit is 0\.1 GB") as caught:
        find(chat_model, budget=10**8)
    assert caught.value.budget == 10**8


def test_bfloat16_is_taken_where_only_that_fits(chat_model: Path) -> None:
    parameters = find(chat_model).parameters
    assert find(chat_model).dtype == "float32"
    assert find(chat_model, budget=memory_needed(parameters, 4) - 1).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "bert"}, None),
        ({"model_type": "vit", "architectures": ["ViTForImageClassification"]}, "does not generate text"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "it is a LlamaForSequenceClassification"),
        ({"model_type": "custom", "auto_map": {"AutoModelForCausalLM": "modeling.X"}}, "code of its own"),
    ],
)
def test_what_is_no_chat_model_says_why(copy: Path, config: dict[str, object], reason: str | None) -> None:
    change(copy / "config.json", **({"architectures": ["BertForMaskedLM"]} | config))
    with pytest.raises(NotAChatModel, match=reason or "BertForMaskedLM") as caught:
        find(copy)
    assert "Choose an instruction-tuned model" in caught.value.message


def test_a_model_without_a_chat_template_is_none_to_chat_with(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(NotAChatModel, match="no chat template"):
        find(copy)


def test_a_folder_without_config_weights_or_whole_weights_says_so(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"no config\.json"):
        find(tmp_path / "empty")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="damaged"):
        find(copy)
    weights.rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no safetensors weights"):
        find(copy)


def test_a_second_copy_of_the_weights_is_not_counted(copy: Path) -> None:
    once = find(copy).parameters
    shutil.copy(copy / "model.safetensors", copy / "consolidated.safetensors")
    assert find(copy).parameters == once


def test_weights_that_do_not_fit_the_config_are_a_sentence(copy: Path) -> None:
    change(copy / "config.json", vocab_size=999)
    checked = find(copy)
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(checked, threading.Lock(), lambda done, total: None, 10**7)


def test_the_cgroups_limit_counts_where_there_is_one(tmp_path: Path) -> None:
    machine = memory_limit(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) == machine
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert memory_limit(tmp_path) == 2**30
    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("536870912\n")
    assert memory_limit(tmp_path) == 2**29


def test_a_models_own_sampling_is_the_default(copy: Path) -> None:
    change(copy / "generation_config.json", do_sample=True, temperature=0.6, top_p=0.95, top_k=20, max_new_tokens=99)
    given = sampling_defaults(copy)
    assert (given.temperature, given.top_p, given.top_k, given.max_tokens) == (0.6, 0.95, 20, 99)
    change(copy / "generation_config.json", do_sample=False)
    assert sampling_defaults(copy).temperature == 0
    (copy / "generation_config.json").unlink()
    assert sampling_defaults(copy).temperature == 0.7


def test_a_download_that_is_over_reports_nothing_more() -> None:
    """tqdm has a thread that refreshes bars which stand still; a report from it would begin a step that is done."""
    seen: list[tuple[int, int]] = []
    bar = reporting_bar(lambda done, total: seen.append((done, total)))(unit="B", total=0)
    bar.total = 7  # as the hub's client does it
    bar.refresh()
    bar.update(7)
    bar.refresh()
    bar.close()
    assert seen == [(0, 7), (7, 7)]


def hub_process(endpoint: str, home: Path, *words: str, importing: str = "threading.Lock()") -> list[str]:
    """What a new process prints that finds each of `words`, a model and a budget: the hub client reads its settings once."""
    code = """
import sys, threading
from core.errors import ModelError
from core.models import find_model, parse_reference
for word in sys.argv[1:]:
    ref, _, budget = word.partition("|")
    seen, importing = [], IMPORTING
    try:
        found = find_model(
            parse_reference(ref), int(budget or 8e9), importing, lambda *n: seen.append((*n, importing.locked()))
        )
        counted = [n for n in seen if n[1]]
        print("found", found.folder.name, counted[0], counted[-1]) if counted else print("found", found.folder.name)
    except ModelError as error:
        print(type(error).__name__, error)
"""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    code = code.replace("IMPORTING", importing)
    ran = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_the_hub_way(chat_model: Path, copy: Path, tmp_path: Path) -> None:
    """Found, refused before the weights, downloaded with progress, and found again without the hub."""
    change(copy / "config.json", architectures=["LlamaForTokenClassification"])
    home = tmp_path / "home"
    with model_hub({"org/tiny": chat_model, "org/other": copy}) as (endpoint, asked):
        refused = hub_process(endpoint, home, "org/none", "org/tiny@missing", "org/other", "org/tiny|100000000")
        assert [line.split()[0] for line in refused] == ["ModelNotFound", "ModelNotFound", "NotAChatModel", "ModelTooLarge"]
        assert "no model of that name" in refused[0]
        assert "no revision 'missing'" in refused[1]
        whole = [path for path in asked if path.endswith("model.safetensors")]
        assert not any(COMMIT in path for path in whole), "only headers of weights may be asked for up to here"
        size = (chat_model / "model.safetensors").stat().st_size
        counted = f"(0, {size}, False) ({size}, {size}, False)"  # from zero on, and others may import meanwhile
        assert hub_process(endpoint, home, "org/tiny") == [f"found {COMMIT} {counted}"]
    gone = hub_process("http://127.0.0.1:9", home, "org/tiny", "org/unseen")
    assert gone[0].startswith(f"found {COMMIT}")
    assert "the model hub could not be reached" in gone[1]


def test_no_import_waits_for_the_hub(chat_model: Path, tmp_path: Path) -> None:
    """What the hub's files and headers tell is told without the lock under which large libraries are imported."""
    with model_hub({"org/tiny": chat_model}) as (endpoint, _):
        refused = hub_process(endpoint, tmp_path / "home", "org/none", "org/tiny|100000000", importing="None")
    assert [line.split()[0] for line in refused] == ["ModelNotFound", "ModelTooLarge"]
