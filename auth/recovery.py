"""Recovery codes: ten, each good once, for the day that the phone is gone."""

from __future__ import annotations

from sqlalchemy import Engine

from auth.store import Clock, utc_now


class RecoveryCodes:
    """Makes and uses up recovery codes; only their hashes are stored."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def make(self, user_id: str) -> list[str]:
        """Ten new codes of 120 bits in groups of four, in place of those before; they can be read this once."""
        raise NotImplementedError

    def use(self, user_id: str, code: str) -> bool:
        """Whether `code` is one of this person's unused ones, however it is spaced or cased; it is used up by this."""
        raise NotImplementedError

    def left(self, user_id: str) -> int:
        raise NotImplementedError
