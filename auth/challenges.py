"""The challenge of a passkey ceremony, kept with the session that began it: its answer counts there, once, and soon."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, select, update

from auth.store import Clock, sessions
from auth.who import Session

LIFETIME = timedelta(minutes=10)  # what was signed long ago does not show who is there now
STAMP_BYTES = 8  # when it was made, before it


class Challenges:
    """Keeps and gives out challenges; a part of `Sessions`."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock

    def set_challenge(self, session: Session, challenge: bytes) -> None:
        """Keep the challenge of the passkey ceremony that this session has begun; the one before it is void."""
        made = int(self._clock().timestamp()).to_bytes(STAMP_BYTES)
        with self._engine.begin() as connection:
            connection.execute(update(sessions).where(sessions.c.id == session.id).values(challenge=made + challenge))

    def take_challenge(self, session: Session) -> bytes | None:
        """The challenge, once and within ten minutes: whoever comes second gets None."""
        with self._engine.begin() as connection:
            kept = connection.execute(select(sessions.c.challenge).where(sessions.c.id == session.id)).scalar()
            if kept is None:
                return None
            mine = (sessions.c.id == session.id) & (sessions.c.challenge == kept)
            taken = connection.execute(update(sessions).where(mine).values(challenge=None)).rowcount
        made, challenge = int.from_bytes(kept[:STAMP_BYTES]), bytes(kept[STAMP_BYTES:])
        is_young = self._clock().timestamp() - made <= LIFETIME.total_seconds()
        return challenge if taken and is_young else None
