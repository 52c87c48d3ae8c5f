"""The one-time sign-in link that the terminal prints, as Jupyter does: whoever can read the terminal owns the machine."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, delete, insert, update

from auth.store import Clock, links, new_token, token_hash, utc_now

LIFETIME = timedelta(minutes=15)


class Links:
    """Makes links' tokens and uses each up at most once."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def create(self) -> str:
        """A new token; older unused ones stop working, so that one link is good at a time."""
        token, now = new_token(), self._clock()
        with self._engine.begin() as connection:
            connection.execute(delete(links))
            connection.execute(insert(links).values(token_hash=token_hash(token), expires_at=now + LIFETIME))
        return token

    def use(self, token: str) -> bool:
        """Whether `token` was good; it is used up by this. One statement decides, so a race has one winner."""
        now = self._clock()
        with self._engine.begin() as connection:
            used = connection.execute(
                update(links)
                .where(links.c.token_hash == token_hash(token), links.c.used_at.is_(None), links.c.expires_at > now)
                .values(used_at=now)
            )
        return used.rowcount == 1
