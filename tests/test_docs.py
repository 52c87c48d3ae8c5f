"""Every command, flag and file that the docs name is there, and the examples run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app import cli
from core.settings import Settings
from core.tasks import Task
from core.types import SamplingParams

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


def flags() -> set[str]:
    serve: Any = get_command(cli).commands["serve"]  # type: ignore[attr-defined]
    return {option for parameter in serve.params for option in parameter.opts} - {"--help"}


def test_the_readme_lists_exactly_the_flags_that_there_are() -> None:
    listed = set(re.findall(r"^\| `(--[\w-]+)`", TEXTS["README.md"], re.MULTILINE))
    assert listed == flags()
    assert listed - {"--config"} == {f"--{name.replace('_', '-')}" for name in Settings.model_fields}


def test_the_readme_gives_each_setting_its_true_default() -> None:
    for name, default in re.findall(r"^\| `--([\w-]+)` \| `([^`]+)`", TEXTS["README.md"], re.MULTILINE):
        if name != "config":
            assert str(Settings.model_fields[name].default) == default, name


@pytest.mark.parametrize("page", TEXTS)
def test_every_flag_of_ours_and_every_make_target_that_is_named_exists(page: str) -> None:
    for line in TEXTS[page].splitlines():
        if "app.py" in line or "make serve ARGS" in line:
            assert set(re.findall(r"(?<!\S)--[\w-]+", line.replace('"', " "))) <= flags() | {"--version"}, line
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make (\w+)", TEXTS[page], re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", TEXTS)
def test_every_local_link_and_folder_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXTS[page]):
        assert ((ROOT / page).parent / target).exists(), target
    for name in re.findall(r"`((?:core|auth|portal|demo|tests|docs|migrations)/[\w./]*)`", TEXTS[page]):
        assert (ROOT / name).exists() or "NAME" in name or name == "core/tasks/translate.py", name


def test_every_python_module_that_is_run_exists() -> None:
    for module in re.findall(r"python -m ([\w.]+)", "\n".join(TEXTS.values())):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module


def test_the_example_task_of_contributing_runs() -> None:
    example = re.search(r"```python\n(.*?)```", TEXTS["CONTRIBUTING.md"], re.DOTALL)
    assert example
    assert len(example[1].strip().splitlines()) < 20
    made: dict[str, Any] = {}
    exec(example[1], made)
    task = made["translate_task"](SamplingParams(), 1024)
    assert isinstance(task, Task)
    messages = task.prompt(task.clean({"text": "door", "language": "Greek"}), [])
    assert messages[0].content == "Translate into Greek: door"


def test_no_requirement_is_without_a_bound_or_a_reason() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.match(r"[\w\[\]-]+(>=[\d.]+,<[\d.]+|~=[\d.]+)\s+# \S|types-\S+,<\d+$", line), line
