"""Browsers that are remembered: they are not asked for the second factor again for 30 days, unless that is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from auth.store import Clock, utc_now

REMEMBERED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Browser:
    """As its owner sees it."""

    id: str
    agent: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime


class Browsers:
    """Remembers and forgets browsers; only the hash of a browser's token is stored."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def remember(self, user_id: str, agent: str) -> str:
        """A token for the browser's cookie."""
        raise NotImplementedError

    def knows(self, user_id: str, token: str) -> bool:
        """Whether this person's browser with `token` is remembered; notes that it was used."""
        raise NotImplementedError

    def all(self, user_id: str) -> list[Browser]:
        raise NotImplementedError

    def forget(self, user_id: str, browser_id: str = "") -> int:
        """Forget one of a person's browsers, or all of them; how many those were."""
        raise NotImplementedError
