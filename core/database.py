"""Opens the database: SQLite by default, any other by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from core.errors import SettingsError

NO_URL = "--database: this is no database URL. Use one like postgresql://user:password@host/name, or leave it out for SQLite."

# A server that is silent costs a request seconds, and not for ever; one that came back is found again.
SERVER: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_timeout": 5,
    "connect_args": {"connect_timeout": 5, "options": "-c statement_timeout=10000", "tcp_user_timeout": 10_000},
}


def open_database(url: str) -> Engine:
    """An engine for `url`. A SQLite file is made, readable by its owner alone. Raises SettingsError for an URL that is none."""
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":  # the driver that we ship with
            parsed = parsed.set(drivername="postgresql+psycopg")
        # hide_parameters: an error that is logged must not carry what people wrote
        options = {} if parsed.get_backend_name() == "sqlite" else SERVER
        engine = create_engine(parsed, hide_parameters=True, **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError):
        raise SettingsError(NO_URL) from None
    if engine.dialect.name == "sqlite":
        if parsed.database:
            file = Path(parsed.database)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for any other. Raises SettingsError for an URL that is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError(NO_URL) from None
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _prepare_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for a writer
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
