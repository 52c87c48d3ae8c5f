"""Every command, flag and file that the docs name is there, and the examples run."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app import cli
from auth.audit import EVENTS
from auth.oidc import Provider, ProviderSettings
from auth.site import Site
from core.settings import WITHOUT_FLAG, Settings, load_settings, unknown_variables
from core.tasks import Task
from core.types import SamplingParams

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


GUIDE = TEXTS["docs/sign-in.md"]
NAMED = r"(?:^    |`)python app\.py([^`\n]*)"
COMMANDS = sorted({line for text in TEXTS.values() for line in re.findall(NAMED, text, re.MULTILINE)})


def command(*names: str) -> Any:
    found: Any = get_command(cli)
    for name in names:
        found = found.commands[name]
    return found


def flags(*names: str) -> set[str]:
    """The flags of one command."""
    return {option for parameter in command(*names).params for option in parameter.opts if option.startswith("-")} - {"--help"}


def every_flag() -> set[str]:
    of_people = {flag for name in command("user").commands for flag in flags("user", name)}
    return flags("serve") | flags("doctor") | flags("limits") | of_people


def test_the_readme_lists_exactly_the_flags_that_there_are() -> None:
    listed = set(re.findall(r"^\| `(--[\w-]+)`", TEXTS["README.md"], re.MULTILINE))
    assert listed == flags("serve")
    assert listed - {"--config"} == {f"--{name.replace('_', '-')}" for name in set(Settings.model_fields) - set(WITHOUT_FLAG)}
    assert flags("doctor") < flags("serve"), "doctor takes what is given to serve"


def test_the_guide_lists_exactly_the_settings_without_a_flag_and_their_variables() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(PORTICO_\w+)`", GUIDE, re.MULTILINE)
    assert [name for name, _ in rows] == list(WITHOUT_FLAG)
    assert all(variable.startswith(f"PORTICO_{name.upper()}") for name, variable in rows)


def test_the_guide_lists_exactly_the_events_of_the_audit_log() -> None:
    table = GUIDE.partition("## The audit log")[2]
    assert dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", table, re.MULTILINE)) == EVENTS


def test_every_example_of_a_settings_file_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = re.findall(r"```toml\n(.*?)```", "\n".join(TEXTS.values()), re.DOTALL)
    assert len(examples) > 3
    for name in os.environ:
        if name.startswith("PORTICO_"):
            monkeypatch.delenv(name)
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        load_settings({}, file)


def test_the_guide_names_the_redirect_uri_that_is_asked_for() -> None:
    settings = ProviderSettings("google", "Google", "https://accounts.google.com", "a", "b")
    for public in ("http://127.0.0.1:7860", "https://demo.example.com"):
        assert Provider(settings, Site.of(public, 7860)).redirect_uri in GUIDE


def test_every_variable_that_is_named_sets_something() -> None:
    named = re.findall(r"(?<!\$)PORTICO_[A-Z_]+", "\n".join(TEXTS.values()))
    assert unknown_variables(dict.fromkeys(named, "")) == []


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_is_named_would_run(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True) if word not in ("...", "--help")]
    found = command()
    if not words or words[0].startswith("-"):
        words = ["serve", *words]
    while words and hasattr(found, "commands"):
        found, words = found.commands[words[0]], words[1:]
    if not hasattr(found, "commands"):
        found.make_context("app.py", words)


def test_the_readme_gives_each_setting_its_true_default() -> None:
    for name, default in re.findall(r"^\| `--([\w-]+)` \| `([^`]+)`", TEXTS["README.md"], re.MULTILINE):
        if name != "config":
            assert str(Settings.model_fields[name.replace("-", "_")].default) == default, name


@pytest.mark.parametrize("page", TEXTS)
def test_every_flag_of_ours_and_every_make_target_that_is_named_exists(page: str) -> None:
    for line in TEXTS[page].splitlines():
        if "app.py" in line or "make serve ARGS" in line or "make limits ARGS" in line:
            assert set(re.findall(r"(?<!\S)--[\w-]+", line.replace('"', " "))) <= every_flag() | {"--version"}, line
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make (\w+)", TEXTS[page], re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_to_a_heading_leads_to_one(page: str) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", TEXTS[page]):
        text = ((ROOT / page).parent / target).resolve().read_text() if target else TEXTS[page]
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert heading in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, heading


@pytest.mark.parametrize("page", TEXTS)
def test_every_local_link_and_folder_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", TEXTS[page]):
        assert ((ROOT / page).parent / target).exists(), target
    for name in re.findall(r"`((?:core|auth|api|portal|demo|tests|docs|migrations)/[\w./]*)`", TEXTS[page]):
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
