"""All of auth over a test's database, with a clock that the test may move."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from auth.parts import Auth, Options, open_auth
from auth.site import Site

BASE = "http://127.0.0.1:7860"
SECRET = "a secret that only the tests know, 48 characters"


class Now:
    """The time of the tests, which stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **units: float) -> None:
        """move(minutes=15)"""
        self.now += timedelta(**units)


def make_auth(database: Engine, clock: Any = None, public: str = BASE, **options: Any) -> Auth:
    """`open_auth` with a test's secret, at `public`."""
    site = Site.of(public, 7860)
    return open_auth(database, replace(Options(site, [SECRET]), **options), *([clock] if clock else []))


class NoModels:
    """For pages that are not about models: none is served."""

    def rows(self) -> list[Any]:
        return []

    def memory(self) -> None:
        return None

    def load(self, reference: str, name: str) -> str:
        raise AssertionError("nothing was to be loaded")

    def unload(self, name: str) -> str:
        raise AssertionError("nothing was to be unloaded")

    def forget(self, name: str) -> str:
        raise AssertionError("nothing was to be taken off the list")


class ScriptedModels:
    """Stands at the seam for the engine; `asked` is what was asked of it, `refuses` how it refuses."""

    def __init__(self, *rows: Any) -> None:
        self.given, self.asked, self.refuses = rows, [], None  # type: ignore[var-annotated]

    def rows(self) -> tuple[Any, ...]:
        return self.given

    def memory(self) -> Any:
        return {"taken": 2, "limit": 8, "sentence": "2 models take 2 GB of 8 GB; 6 GB is free.", "help": "Help."}

    def load(self, reference: str, name: str) -> str:
        self._ask("load", reference, name)
        return name or reference

    def unload(self, name: str) -> str:
        self._ask("unload", name)
        return f"org/{name}"

    def forget(self, name: str) -> str:
        self._ask("forget", name)
        return f"org/{name}"

    def _ask(self, *what: str) -> None:
        if self.refuses:
            raise self.refuses
        self.asked.append(what)
