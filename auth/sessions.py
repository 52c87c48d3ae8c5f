"""Server-side sessions: the browser holds a random token, the database its hash, and a revocation takes effect at once."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from auth.store import new_token, sessions, token_hash, users

log = logging.getLogger("portico.auth")

IDLE = timedelta(days=7)
ABSOLUTE = timedelta(days=30)
SEEN_EVERY = timedelta(minutes=1)  # a write for each request would cost more than the request

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in. `id` is stable; roles are admin, member and guest."""

    id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Session:
    """An account's open session in one browser. `id` names it and opens nothing."""

    id: str
    account: Account
    created_at: datetime
    seen_at: datetime


class Sessions:
    """Creates, finds and revokes sessions. Safe from any thread; all of one process, which alone serves them."""

    def __init__(self, engine: Engine, clock: Clock = utc_now, idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE) -> None:
        self._engine, self._clock, self._idle, self._absolute = engine, clock, idle, absolute
        self._cache: dict[str, Session] = {}  # by token hash; this process is the only writer
        self._lock = threading.Lock()
        self.on_revoke: list[Callable[[str], None]] = []

    def create(self, account: Account) -> str:
        """Open a session for `account` and return its token, which is stored nowhere."""
        token, now = new_token(), self._clock()
        with self._engine.begin() as connection:
            known = connection.execute(update(users).where(users.c.id == account.id).values(name=account.name, role=account.role))
            if not known.rowcount:
                connection.execute(insert(users).values(id=account.id, name=account.name, role=account.role, created_at=now))
            connection.execute(
                insert(sessions).values(
                    id=uuid.uuid4().hex, token_hash=token_hash(token), user_id=account.id, created_at=now, seen_at=now
                )
            )
        return token

    def find(self, token: str) -> Session | None:
        """The open session that `token` belongs to; one past its idle or absolute timeout is revoked instead."""
        key, now = token_hash(token), self._clock()
        session = self._cache.get(key) or self._read(key)
        if session is None:
            return None
        if now - session.seen_at > self._idle or now - session.created_at > self._absolute:
            self.revoke(session.id)
            return None
        if now - session.seen_at > SEEN_EVERY:
            session = Session(session.id, session.account, session.created_at, now)
            with self._lock:
                if key not in self._cache:  # revoked meanwhile
                    return None
                self._cache[key] = session
            # In a thread: the one who asks is a request on the event loop, and a database may be slow, or locked.
            threading.Thread(target=self._note_seen, args=(session,), daemon=True).start()
        return session

    def ends_in(self, session: Session) -> float:
        """Seconds until the absolute timeout, at which what the session holds open must end."""
        return (session.created_at + self._absolute - self._clock()).total_seconds()

    def _note_seen(self, session: Session) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(update(sessions).where(sessions.c.id == session.id).values(seen_at=session.seen_at))
        except SQLAlchemyError:  # the next minute's request tries again
            log.warning("could not note that session %s was used", session.id, exc_info=True)

    def revoke(self, session_id: str) -> None:
        """End the session now: its token opens nothing more, and what it holds open is closed."""
        with self._lock:
            with self._engine.begin() as connection:
                connection.execute(delete(sessions).where(sessions.c.id == session_id))
            self._cache = {key: session for key, session in self._cache.items() if session.id != session_id}
        for told in self.on_revoke:
            told(session_id)

    def _read(self, key: str) -> Session | None:
        with self._lock, self._engine.begin() as connection:
            row = connection.execute(
                select(sessions, users.c.name, users.c.role)
                .join(users, users.c.id == sessions.c.user_id)
                .where(sessions.c.token_hash == key)
            ).first()
            if row is None:
                return None
            account = Account(row.user_id, row.name, row.role)
            session = Session(row.id, account, _aware(row.created_at), _aware(row.seen_at))
            self._cache[key] = session
            return session


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
