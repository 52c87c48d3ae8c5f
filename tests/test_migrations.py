"""An older database is brought up to date with everything that is in it, or left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command, op

import auth.store
import core.store
import migrations
from auth.store import utc_now
from core.database import open_database

TABLES = [core.store.metadata, auth.store.metadata]


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database as the first release left it: two people, three sessions (one of nobody), a conversation with its run."""
    url = f"sqlite:///{tmp_path}/old.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    engine = open_database(url)
    config = migrations.alembic_config(TABLES)
    with engine.begin() as connection:
        if request.param == "postgresql":  # which other tests have used
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _fill(connection)
    yield engine
    with engine.begin() as connection:
        for table in reversed([table for metadata in TABLES for table in metadata.sorted_tables]):
            connection.execute(sa.text(f"DELETE FROM {table.name}"))
    engine.dispose()


def _fill(connection: sa.Connection) -> None:
    tables = sa.MetaData()
    tables.reflect(connection)

    def add(table: str, **values: Any) -> None:
        connection.execute(tables.tables[table].insert().values(**values))

    for name in ("ada", "bo"):
        add("users", id=name, name=name, role="member", created_at=utc_now())
    for name in ("ada", "bo", "nobody"):
        add("sessions", id=name, token_hash=name, user_id=name, created_at=utc_now(), seen_at=utc_now())
    add("conversations", id="c", user_id="ada", title="t", created_at=utc_now(), updated_at=utc_now())
    add(
        "runs", id="r", conversation_id="c", user_id="ada", task="chat", model="m", revision="", values={}, versions={},
        status="finished", text="kept", created_at=utc_now(),
    )  # fmt: skip


def counts(engine: sa.Engine) -> dict[str, int]:
    names = ("users", "sessions", "conversations", "runs")
    with engine.connect() as connection:
        return {name: connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar() or 0 for name in names}


def test_what_is_in_an_older_database_is_kept(old: sa.Engine) -> None:
    migrations.upgrade(old, TABLES)
    assert migrations.state(old) == "newest"
    assert counts(old) == {"users": 2, "sessions": 2, "conversations": 1, "runs": 1}, "a session of nobody is none"


def test_an_upgrade_that_fails_leaves_everything_as_it_was(old: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, a lost connection, a process that is killed: the next start finds what it can bring up to date."""
    before = counts(old)
    with monkeypatch.context() as patch:
        batch = op.batch_alter_table

        def failing(table: str, **options: Any) -> Any:
            if table == "users":  # the last of them
                raise OSError("the disk is full")
            return batch(table, **options)

        patch.setattr(op, "batch_alter_table", failing)
        with pytest.raises(OSError, match="disk is full"):
            migrations.upgrade(old, TABLES)
    assert migrations.state(old) == "old"
    assert counts(old) == before
    migrations.upgrade(old, TABLES)
    assert migrations.state(old) == "newest"
