"""The database's one set of migrations, for core's tables and auth's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData

FOLDER = Path(__file__).resolve().parent


def alembic_config(metadata: list[MetaData]) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["metadata"] = metadata
    return config


def upgrade(engine: Engine, metadata: list[MetaData]) -> None:
    """Bring the database to the newest revision; on PostgreSQL and SQLite all of it or nothing."""
    config = alembic_config(metadata)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
