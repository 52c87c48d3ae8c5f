from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine

import auth.store
import core.store
from core.database import open_database
from core.errors import SettingsError
from core.store import Run, Store
from core.types import Usage
from migrations import alembic_config


def run(name: str, parent: str | None = None, user: str = "ada", conversation: str = "c") -> Run:
    return Run(name, conversation, user, "chat", "m", {"message": name, "temperature": 0.5}, parent_id=parent, seed=2**31 - 2)


def test_a_run_comes_back_as_it_was(any_database: Engine) -> None:
    store = Store(any_database)
    given = replace(run("r"), versions={"torch": "2"}, revision="abc")
    store.add_run(given, "Title")
    ended = replace(given, status="finished", text="é😀", reason="stop", usage=Usage(1, 2, 0.3, 0.4))
    store.save_run(ended)
    found = store.run("r")
    assert found is not None
    assert replace(found, created_at=ended.created_at) == ended
    assert found.usage is not None
    assert found.usage.tokens_per_s == pytest.approx(10)


def test_a_conversation_is_the_branch_to_its_head(any_database: Engine) -> None:
    store = Store(any_database)
    for name, parent in (("1", None), ("2", "1"), ("2b", "1")):
        store.add_run(run(name, parent), "Title")
    found = store.conversation("c", "ada")
    assert found is not None
    assert [one.id for one in found.runs] == ["1", "2b"]
    assert found.title == "Title"
    assert store.run("2") is not None, "the other branch is kept"


def test_another_users_conversation_is_not_found(any_database: Engine) -> None:
    store = Store(any_database)
    store.add_run(run("1"), "Title")
    assert store.conversation("c", "bo") is None
    assert store.conversations("bo") == []


def test_conversations_come_last_used_first_and_are_deleted_whole(any_database: Engine) -> None:
    store = Store(any_database)
    store.add_run(run("1", conversation="old"), "Old")
    store.add_run(run("2", conversation="new"), "New")
    store.add_run(run("3", conversation="old", parent="1"), "ignored")
    assert [one.title for one in store.conversations("ada")] == ["Old", "New"]
    store.delete_conversation("old")
    assert [one.title for one in store.conversations("ada")] == ["New"]
    assert store.run("1") is None


def test_what_a_crash_left_unfinished_is_marked_so(any_database: Engine) -> None:
    store = Store(any_database)
    store.add_run(replace(run("r"), text="half", status="running"), "Title")
    assert store.fail_unfinished("stopped") == 1
    found = store.run("r")
    assert found is not None
    assert (found.status, found.error, found.text) == ("failed", "stopped", "half")


def test_runs_are_counted_up_to_the_quota(any_database: Engine) -> None:
    store = Store(any_database)
    assert [store.count_run("guest", 3) for _ in range(5)] == [True, True, True, False, False]
    assert store.count_run("other", 1)
    assert not store.count_run("none", 0)
    store.forget("guest")
    assert store.count_run("guest", 3), "a new account would have another id"


@pytest.mark.parametrize("quota", [1, 2])
def test_two_runs_at_once_are_counted_once_each(any_database: Engine, quota: int) -> None:
    store = Store(any_database)
    for number in range(50):
        counted: list[bool] = []
        together = threading.Barrier(2)

        def count(user: str = f"guest-{number}", together: threading.Barrier = together, counted: list[bool] = counted) -> None:
            together.wait()
            counted.append(store.count_run(user, quota))

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(counted) == [quota == 2, True]
        assert not store.count_run(f"guest-{number}", quota)


def test_what_is_kept_of_one_is_given_and_forgotten_whole(any_database: Engine) -> None:
    store = Store(any_database)
    store.add_run(run("1"), "Mine")
    store.add_run(run("2", parent="1"), "Mine")
    store.add_run(run("2b", parent="1"), "Mine")
    store.add_run(run("b", user="bo", conversation="d"), "Bo's")
    [conversation] = store.export("ada")["conversations"]
    assert [one["id"] for one in conversation["runs"]] == ["1", "2", "2b"], "every branch"
    json.dumps(conversation)
    store.forget("ada")
    assert store.export("ada") == {"conversations": []}
    assert store.run("2b") is None
    assert store.run("b") is not None
    store.save_run(replace(run("1"), text="late"))
    assert store.run("1") is None, "what is saved after that brings nothing back"


def test_the_migrations_make_exactly_the_tables_that_the_code_names(any_database: Engine) -> None:
    config = alembic_config([core.store.metadata, auth.store.metadata])
    with any_database.begin() as connection:
        config.attributes["connection"] = connection
        command.check(config)  # raises if a migration is missing


@pytest.mark.parametrize("url", ["nonsense", "mongodb://x/y", "postgresql://u:hunter2@:bad/x"])
def test_an_url_that_is_none_is_a_sentence_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="no database URL") as caught:
        open_database(url)
    assert "hunter2" not in caught.value.message


def test_a_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/folder/p.db")
    assert (tmp_path / "folder" / "p.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("usage", "reason", "shown"),
    [
        (Usage(9, 42, 0.03, 0.833), "stop", "42 tokens · 51 tok/s · first 0.03 s"),
        (Usage(9, 3, 1.0, 2.0), "cancelled", "Stopped · 3 tokens · 2.0 tok/s · first 1.00 s"),
        (Usage(9, 1, 0.5, 0.5), "length", "1 token · first 0.50 s · cut at the maximum length"),
        (Usage(9, 0, 0.5, 0.5), "cancelled", "Stopped"),
        (None, None, ""),
    ],
)
def test_an_answers_figures_are_said_alike_everywhere(usage: Usage | None, reason: Any, shown: str) -> None:
    assert replace(run("r"), status="finished", usage=usage, reason=reason).figures == shown
