"""The database's one set of migrations, for core's tables and auth's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData

FOLDER = Path(__file__).resolve().parent


def alembic_config(metadata: list[MetaData]) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["metadata"] = metadata
    return config


def state(engine: Engine) -> str:
    """ "empty", "old" (the next start brings it up to date), "newest", or "newer": another, newer Portico's."""
    scripts = ScriptDirectory.from_config(alembic_config([]))
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        return "empty"
    if revision == scripts.get_current_head():
        return "newest"
    return "old" if revision in {one.revision for one in scripts.walk_revisions()} else "newer"


def upgrade(engine: Engine, metadata: list[MetaData]) -> None:
    """Bring the database to the newest revision; on PostgreSQL and SQLite all of it or nothing."""
    config = alembic_config(metadata)
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        # SQLite alters a table by dropping it once it is copied, and one that is dropped takes along what refers to it.
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.commit()  # what is switched within a transaction is not switched
        try:
            with connection.begin():
                if sqlite:  # Python's driver begins no transaction before a change of tables, and half of one would stay
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            if sqlite:
                connection.exec_driver_sql("PRAGMA foreign_keys=ON")
                connection.commit()
