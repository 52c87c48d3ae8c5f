"""Server-side sessions: the browser holds a random token, the database its hash, and a revocation takes effect at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, Select, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from auth.audit import Origin
from auth.store import Clock, aware, new_id, new_token, sessions, token_hash, users, utc_now

log = logging.getLogger("portico.auth")

IDLE = timedelta(days=7)
ABSOLUTE = timedelta(days=30)
HALF = timedelta(minutes=10)  # how long one may take over the second factor
FRESH = timedelta(minutes=15)  # for what needs its person anew: factors, tokens, exports
SEEN_EVERY = timedelta(minutes=1)  # a write for each request would cost more than the request


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in. `id` is stable; roles are admin, member and guest; `quota` is how many questions they may ask in all."""

    id: str
    name: str
    role: str
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """An account's session in one browser, or an API token's. `id` names it and opens nothing.

    `level` is "half" while the second factor is still to be shown, and "full" then. `method` is how the sign-in began: "link",
    a provider's name, "invitation" or "token". `verified_at` is when its person last showed who they are.
    """

    id: str
    account: Account
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    level: str = "full"
    method: str = "link"
    verified_at: datetime | None = None
    next: str = "/"
    address: str = ""
    agent: str = ""
    scopes: frozenset[str] = frozenset()  # of an API token


class Sessions:
    """Creates, finds and revokes sessions. Safe from any thread.

    What another process changes (`python app.py user`) is seen by `refresh`, which the server calls every second or two.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now, idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE) -> None:
        self._engine, self._clock, self._idle, self._absolute = engine, clock, idle, absolute
        self._cache: dict[str, Session] = {}  # by token hash
        self._lock = threading.Lock()
        self.on_revoke: list[Callable[[str], None]] = []

    def create(
        self,
        account: Account,
        level: str = "full",
        method: str = "link",
        next: str = "/",
        origin: Origin = Origin(),  # noqa: B008 (frozen)
        ends_at: datetime | None = None,
    ) -> str:
        """Open a session for `account` and return its token, which is stored nowhere. An account that is new is written down.

        A half session ends after 10 minutes; `ends_at` ends a full one before its absolute timeout.
        """
        token, now = new_token(), self._clock()
        values = {
            "id": new_id(), "token_hash": token_hash(token), "user_id": account.id, "level": level, "method": method,
            "next": next, "address": origin.address[:64], "agent": origin.agent[:255], "verified_at": now, "created_at": now,
            "seen_at": now, "ends_at": now + HALF if level == "half" else ends_at,
        }  # fmt: skip
        with self._engine.begin() as connection:
            if connection.execute(select(users.c.id).where(users.c.id == account.id)).first() is None:
                new = {"id": account.id, "name": account.name, "role": account.role, "created_at": now}
                connection.execute(insert(users).values(new))
            connection.execute(insert(sessions).values(values))
        return token

    def find(self, token: str) -> Session | None:
        """The open session that `token` belongs to; one past its idle or absolute timeout is revoked instead."""
        key, now = token_hash(token), self._clock()
        session = self._cache.get(key) or self._read(key)
        if session is None:
            return None
        if now - session.seen_at > self._idle or now >= session.ends_at:
            self.revoke(session.id)
            return None
        if now - session.seen_at > SEEN_EVERY:
            session = replace(session, seen_at=now)
            with self._lock:
                if key not in self._cache:  # revoked meanwhile
                    return None
                self._cache[key] = session
            # In a thread: the one who asks is a request on the event loop, and a database may be slow, or locked.
            threading.Thread(target=self._note_seen, args=(session,), daemon=True).start()
        return session

    def of_user(self, user_id: str) -> list[Session]:
        """A person's open full sessions, the last used first."""
        with self._engine.begin() as connection:
            found = _joined().where(sessions.c.user_id == user_id, sessions.c.level == "full").order_by(sessions.c.seen_at.desc())
            rows = connection.execute(found).all()
        now = self._clock()
        known = [self._session(row) for row in rows]
        return [one for one in known if now < one.ends_at and now - one.seen_at <= self._idle]

    def ends_in(self, session: Session) -> float:
        """Seconds until the session's end, at which what it holds open must end."""
        return (session.ends_at - self._clock()).total_seconds()

    def is_fresh(self, session: Session) -> bool:
        """Whether its person showed who they are within the last 15 minutes."""
        return session.verified_at is not None and self._clock() - session.verified_at <= FRESH

    def step_up(self, session: Session) -> str | None:
        """Its person has shown a second factor: a new token in place of the old one, which is dead from now on.

        A half session becomes another, full one; a full one keeps its id, so that what it holds open goes on. None if the
        session ended meanwhile, or stepped up elsewhere.
        """
        token, now = new_token(), self._clock()
        values = {"token_hash": token_hash(token), "verified_at": now, "level": "full"}
        if session.level == "half":
            values |= {"id": new_id(), "created_at": now, "seen_at": now, "ends_at": None, "challenge": None}
        with self._lock, self._engine.begin() as connection:
            # Two codes shown at once in two tabs: the one that comes second finds another verified_at.
            same = (sessions.c.id == session.id) & (sessions.c.level == session.level)
            if session.verified_at is not None:
                same &= sessions.c.verified_at == session.verified_at
            changed = connection.execute(update(sessions).where(same).values(values)).rowcount
            self._forget(session.id)
        return token if changed else None

    def revoke(self, session_id: str) -> None:
        """End the session now: its token opens nothing more, and what it holds open is closed."""
        with self._lock:
            with self._engine.begin() as connection:
                connection.execute(delete(sessions).where(sessions.c.id == session_id))
            self._forget(session_id)
        for told in self.on_revoke:
            told(session_id)

    def revoke_all(self, user_id: str, but: str = "") -> int:
        """End every session of a person but the one with the id `but`; how many those were."""
        with self._engine.begin() as connection:
            mine = (sessions.c.user_id == user_id) & (sessions.c.id != but)
            ids = connection.execute(select(sessions.c.id).where(mine)).scalars().all()
        for session_id in ids:
            self.revoke(session_id)
        return len(ids)

    def refresh(self) -> None:
        """See what another process did: sessions that it ended end here, roles that it changed change here."""
        with self._lock:
            known = dict(self._cache)
            with self._engine.begin() as connection:
                rows = connection.execute(_joined().where(sessions.c.id.in_([one.id for one in known.values()]))).all()
            found = {row.token_hash: row for row in rows if row.disabled_at is None}
            gone = [session for key, session in known.items() if key not in found]
            for key, session in known.items():
                if row := found.get(key):
                    self._cache[key] = replace(session, account=Account(row.user_id, row.name, row.role, row.quota))
        for session in gone:
            self.revoke(session.id)

    def set_challenge(self, session: Session, challenge: bytes) -> None:
        """Keep the challenge of the passkey ceremony that this session has begun; the one before it is void."""
        with self._engine.begin() as connection:
            connection.execute(update(sessions).where(sessions.c.id == session.id).values(challenge=challenge))

    def take_challenge(self, session: Session) -> bytes | None:
        """The challenge, once: whoever comes second gets None."""
        with self._engine.begin() as connection:
            challenge = connection.execute(select(sessions.c.challenge).where(sessions.c.id == session.id)).scalar()
            if challenge is None:
                return None
            mine = (sessions.c.id == session.id) & (sessions.c.challenge == challenge)
            taken = connection.execute(update(sessions).where(mine).values(challenge=None)).rowcount
        return bytes(challenge) if taken else None

    def _note_seen(self, session: Session) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(update(sessions).where(sessions.c.id == session.id).values(seen_at=session.seen_at))
        except SQLAlchemyError:  # the next minute's request tries again
            log.warning("could not note that session %s was used", session.id, exc_info=True)

    def _read(self, key: str) -> Session | None:
        with self._lock, self._engine.begin() as connection:
            row = connection.execute(_joined().where(sessions.c.token_hash == key)).first()
            if row is None or row.disabled_at is not None:
                return None
            self._cache[key] = session = self._session(row)
            return session

    def _session(self, row: Row[Any]) -> Session:
        created_at = aware(row.created_at)
        ends_at = created_at + self._absolute
        return Session(
            row.id, Account(row.user_id, row.name, row.role, row.quota), created_at, aware(row.seen_at),
            min(ends_at, aware(row.ends_at)) if row.ends_at else ends_at, row.level, row.method,
            aware(row.verified_at) if row.verified_at else None, row.next, row.address, row.agent,
        )  # fmt: skip

    def _forget(self, session_id: str) -> None:
        self._cache = {key: session for key, session in self._cache.items() if session.id != session_id}


def _joined() -> Select[Any]:
    return select(sessions, users.c.name, users.c.role, users.c.quota, users.c.disabled_at).join(
        users, users.c.id == sessions.c.user_id
    )
