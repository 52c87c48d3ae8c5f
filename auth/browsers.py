"""Browsers that are remembered: they are not asked for the second factor again for 30 days, unless that is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, insert, select, update

from auth.store import Clock, aware, browsers, new_id, new_token, token_hash, utc_now

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
        """A token for the browser's cookie, good for 30 days from now, however often it is used."""
        token, now = new_token(), self._clock()
        new = {
            "id": new_id(), "token_hash": token_hash(token), "user_id": user_id, "agent": agent[:255], "created_at": now,
            "used_at": now, "expires_at": now + REMEMBERED,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(delete(browsers).where(browsers.c.expires_at <= now))
            connection.execute(insert(browsers).values(new))
        return token

    def knows(self, user_id: str, token: str) -> bool:
        """Whether this person's browser with `token` is remembered; notes that it was used."""
        now = self._clock()
        mine = (browsers.c.token_hash == token_hash(token)) & (browsers.c.user_id == user_id) & (browsers.c.expires_at > now)
        with self._engine.begin() as connection:
            return connection.execute(update(browsers).where(mine).values(used_at=now)).rowcount == 1

    def all(self, user_id: str) -> list[Browser]:
        """Those that are remembered still, the last used first."""
        mine = (browsers.c.user_id == user_id) & (browsers.c.expires_at > self._clock())
        with self._engine.begin() as connection:
            rows = connection.execute(select(browsers).where(mine).order_by(browsers.c.used_at.desc())).all()
        return [Browser(row.id, row.agent, aware(row.created_at), aware(row.used_at), aware(row.expires_at)) for row in rows]

    def forget(self, user_id: str, browser_id: str = "") -> int:
        """Forget one of a person's browsers, or all of them; how many those were."""
        mine = browsers.c.user_id == user_id
        if browser_id:
            mine &= browsers.c.id == browser_id
        with self._engine.begin() as connection:
            return connection.execute(delete(browsers).where(mine)).rowcount
