"""Server-side sessions: the browser holds a random token, the database its hash, and a revocation takes effect at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, bindparam, delete, insert, or_, select, update

from auth.audit import Origin
from auth.challenges import Challenges
from auth.store import Clock, aware, new_id, new_token, sessions, token_hash, users, utc_now
from auth.who import Account, Session

__all__ = ["ABSOLUTE", "FRESH", "HALF", "IDLE", "Account", "Session", "Sessions"]

IDLE = timedelta(days=7)
ABSOLUTE = timedelta(days=30)
HALF = timedelta(minutes=10)  # how long one may take over the second factor
FRESH = timedelta(minutes=15)  # for what needs its person anew: factors, tokens, exports
SEEN_EVERY = timedelta(minutes=1)  # how exactly it is known when a session was last used

_ACCOUNT = (users.c.name, users.c.role, users.c.quota, users.c.disabled_at)


class Sessions(Challenges):
    """Creates, finds and revokes sessions. Safe from any thread.

    What another process changes (`python app.py user`) is seen by `refresh`, which the server calls every second or two.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now, idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE) -> None:
        super().__init__(engine, clock)
        self._idle, self._absolute = idle, absolute
        self._cache: dict[str, Session] = {}  # by token hash; sessions come in and go under the lock, and change without it
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
        verified: bool = True,
        known: bool = False,
    ) -> str:
        """Open a session for `account` and return its token, which is stored nowhere.

        An account that is new is written down, unless it is said to be `known`: then it was deleted just now, and an
        IntegrityError is raised.

        A half session ends after 10 minutes; `ends_at` ends a full one before its absolute timeout. `verified` is False where
        something stood in for the second factor (a remembered browser): what needs its person anew then asks for it.
        """
        token, now = new_token(), self._clock()
        values = {
            "id": new_id(), "token_hash": token_hash(token), "user_id": account.id, "level": level, "method": method,
            "next": next, "address": origin.address[:64], "agent": origin.agent[:255], "verified_at": now if verified else None,
            "created_at": now, "seen_at": now, "ends_at": now + HALF if level == "half" else ends_at,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(delete(sessions).where(self._long_over(now)))  # else the table only grows
            if not known and connection.execute(select(users.c.id).where(users.c.id == account.id)).first() is None:
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
        if self._is_over(session, now):
            self.revoke(session.id)
            return None
        if now - session.seen_at > SEEN_EVERY:
            # No lock, no write to the database: the one who asks is a request on the event loop. `refresh` writes it down.
            session, cache = replace(session, seen_at=now), self._cache
            if key not in cache:  # revoked meanwhile
                return None
            cache[key] = session  # a revocation just now has put another dict in this one's place
        return session

    def knows(self, token: str) -> bool:
        """Whether `find` will need no look into the database."""
        return token_hash(token) in self._cache

    def of_user(self, user_id: str) -> list[Session]:
        """A person's open full sessions, the last used first."""
        query = select(sessions, *_ACCOUNT).join(users).where(sessions.c.user_id == user_id, sessions.c.level == "full")
        with self._engine.begin() as connection:
            known = [self._session(row) for row in connection.execute(query)]
        seen = {one.id: one.seen_at for one in tuple(self._cache.values())}
        known = [replace(one, seen_at=max(one.seen_at, seen.get(one.id, one.seen_at))) for one in known]
        now = self._clock()
        return sorted((one for one in known if not self._is_over(one, now)), key=lambda one: one.seen_at, reverse=True)

    def ends_in(self, session: Session) -> float:
        """Seconds until the session's end, at which what it holds open must end."""
        return (session.ends_at - self._clock()).total_seconds()

    def is_fresh(self, session: Session) -> bool:
        """Whether its person showed who they are within the last 15 minutes."""
        return session.verified_at is not None and self._clock() - session.verified_at <= FRESH

    def step_up(self, session: Session) -> str | None:
        """Its person has shown a second factor: a new token in place of the old one, which is dead from now on.

        OWASP ASVS 5, 7.2.4: a new token at each authentication, re-authentication included, and the old one ends. A half session
        becomes another, full one. A full one keeps its id, which opens nothing: what it holds open goes on, and its absolute
        timeout with it. None if the session ended meanwhile, or stepped up elsewhere.
        """
        token, now = new_token(), self._clock()
        values = {"token_hash": token_hash(token), "verified_at": now, "seen_at": now, "level": "full", "challenge": None}
        if session.level == "half":
            values |= {"id": new_id(), "created_at": now, "ends_at": None}
        # Two codes shown at once in two tabs: the one that comes second finds another level or verified_at.
        unchanged = (
            (sessions.c.id == session.id)
            & (sessions.c.level == session.level)
            & sessions.c.verified_at.is_not_distinct_from(session.verified_at)
        )
        with self._lock:
            with self._engine.begin() as connection:
                changed = connection.execute(update(sessions).where(unchanged).values(values)).rowcount
            self._drop(lambda one: one.id == session.id)
        return token if changed else None

    def revoke(self, session_id: str) -> None:
        """End the session now: its token opens nothing more, and what it holds open is closed."""
        self._end(sessions.c.id == session_id, {session_id})

    def revoke_all(self, user_id: str, but: str = "") -> int:
        """End every session of a person but the one with the id `but`; how many those were.

        One statement finds and deletes them: a half session that steps up just then gets another id, and must not slip through.
        """
        return self._end((sessions.c.user_id == user_id) & (sessions.c.id != but))

    def refresh(self) -> None:
        """See what other processes did, and end what is over: sessions end here, roles and names change here.

        What this process knows better, when its sessions were last used, is written down.
        """
        with self._lock:
            with self._engine.begin() as connection:
                columns: list[Any] = [sessions.c.id, sessions.c.seen_at, sessions.c.user_id, *_ACCOUNT]
                rows = {row.id: row for row in connection.execute(select(*columns).join(users))}
            now = self._clock()
            ended = {row.id for row in rows.values() if row.disabled_at is not None}
            used = []
            for key, session in self._cache.items():
                row = rows.get(session.id)
                if row is None or self._is_over(session, now):
                    ended.add(session.id)
                    continue
                if session.seen_at > aware(row.seen_at):
                    used.append({"which": session.id, "at": session.seen_at})
                if (account := _account(row)) != session.account:
                    self._cache[key] = replace(session, account=account)
        for session_id in ended:
            self.revoke(session_id)
        if used:
            with self._engine.begin() as connection:
                note = update(sessions).where(sessions.c.id == bindparam("which")).values(seen_at=bindparam("at"))
                connection.execute(note, used)

    def _read(self, key: str) -> Session | None:
        query = select(sessions, *_ACCOUNT).join(users).where(sessions.c.token_hash == key)
        with self._lock:  # so that no revocation comes between what is read and what is kept of it
            with self._engine.begin() as connection:
                row = connection.execute(query).first()
            if row is None or row.disabled_at is not None:
                return None
            self._cache[key] = session = self._session(row)
            return session

    def _session(self, row: Row[Any]) -> Session:
        created_at = aware(row.created_at)
        ends_at = created_at + self._absolute
        return Session(
            row.id, _account(row), created_at, aware(row.seen_at),
            min(ends_at, aware(row.ends_at)) if row.ends_at else ends_at, row.level, row.method,
            aware(row.verified_at) if row.verified_at else None, row.next, row.address, row.agent,
        )  # fmt: skip

    def _is_over(self, session: Session, now: datetime) -> bool:
        return now - session.seen_at > self._idle or now >= session.ends_at

    def _long_over(self, now: datetime) -> ColumnElement[bool]:
        """As `_is_over`, for the database, where `seen_at` is a moment behind."""
        idle = sessions.c.seen_at < now - self._idle - 2 * SEEN_EVERY
        return or_(idle, sessions.c.created_at < now - self._absolute, sessions.c.ends_at < now)

    def _end(self, which: ColumnElement[bool], known: Collection[str] = ()) -> int:
        """Delete the sessions, and close what they and those `known` hold open; how many were deleted."""
        with self._lock:
            with self._engine.begin() as connection:
                deleted = connection.execute(delete(sessions).where(which).returning(sessions.c.id)).scalars().all()
            ended = {*deleted, *known}
            self._drop(lambda one: one.id in ended)
        for session_id in ended:
            for told in self.on_revoke:
                told(session_id)
        return len(deleted)

    def _drop(self, which: Callable[[Session], bool]) -> None:
        self._cache = {key: one for key, one in self._cache.items() if not which(one)}


def _account(row: Row[Any]) -> Account:
    return Account(row.user_id, row.name, row.role, row.quota)
