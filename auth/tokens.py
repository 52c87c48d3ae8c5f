"""API tokens: for programs, with scopes and an expiry; shown once, stored as a hash."""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, bindparam, delete, func, insert, select, update

from auth.store import Clock, aware, new_id, new_token, token_hash, tokens, users, utc_now
from auth.who import Account, Session

PREFIX = "portico_"  # by which scanners find a token that was committed by mistake
SCOPES = {"chat": "Ask the model", "models": "List the models"}
SHOWN = 12  # characters of a token that its owner sees later on: the prefix, and 24 of its 256 bits
MOST = 20  # tokens a person
LONGEST = timedelta(days=366)
USED_EVERY = timedelta(minutes=1)  # a write for each request would cost more than the request
TRUSTED = timedelta(seconds=5)  # what is known is looked up anew after this, should `refresh` not have come (it comes every 2)

_FORM = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")


class NotMade(Exception):
    """A token that cannot be made as it was asked for; the message is for its owner."""


@dataclass(frozen=True, slots=True)
class Token:
    """As its owner sees it."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class Tokens:
    """Makes, finds and revokes API tokens. Safe from any thread.

    What is revoked here is dead at once. What another process changes (`python app.py user`) is seen by `refresh`, which the
    server calls every second or two; it closes what such a token holds open, and writes down when tokens were last used.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock
        self._used: dict[str, datetime] = {}  # by id: when a token was last used here
        # By hash, the hash in the database and the session; `seen_at` is when it was looked up. Changed under the lock alone.
        self._known: dict[str, tuple[str, Session]] = {}
        self._lock = threading.Lock()
        self.on_revoke: list[Callable[[str], None]] = []

    def make(self, account: Account, name: str, scopes: Collection[str], expires_at: datetime) -> tuple[Token, str]:
        """A token and its text, which can be read this once. Raises NotMade."""
        now = self._clock()
        _check(account, name, scopes, expires_at, now)
        text, chosen = PREFIX + new_token(), tuple(scope for scope in SCOPES if scope in scopes)
        made = Token(new_id(), name.strip(), text[:SHOWN], chosen, now, expires_at, None)
        row = {
            "id": made.id, "token_hash": token_hash(text), "prefix": made.prefix, "user_id": account.id, "name": made.name,
            "scopes": list(chosen), "created_at": now, "expires_at": expires_at,
        }  # fmt: skip
        with self._engine.begin() as connection:
            # Writes nothing new, but makes whoever adds a token for the same person at the same time wait for the count below.
            connection.execute(update(users).where(users.c.id == account.id).values(id=users.c.id))
            count = connection.execute(select(func.count()).where(tokens.c.user_id == account.id)).scalar_one()
            if count >= MOST:
                raise NotMade(f"You have {MOST} tokens, and that is the most. Revoke one that nothing uses any more.")
            connection.execute(insert(tokens).values(row))
        return made, text

    def find(self, text: str) -> Session | None:
        """The session (level "full", method "token", with `scopes`) of a token that is good; its id is the token's."""
        if not _FORM.fullmatch(text):
            return None
        key, now = token_hash(text), self._clock()
        known = self._known.get(key)
        if known is None or now - known[1].seen_at >= TRUSTED:
            known = self._look_up(key, now)
        # Whoever times the index learns of a hash, which cannot be turned back into a token, and nothing by the comparison.
        if known is None or not hmac.compare_digest(known[0], key) or known[1].ends_at <= now:
            return None
        session = known[1]
        self._used[session.id] = now
        return session

    def all(self, user_id: str) -> list[Token]:
        """A person's tokens, the newest first, those that have expired included."""
        mine = select(tokens).where(tokens.c.user_id == user_id).order_by(tokens.c.created_at.desc(), tokens.c.id)
        with self._engine.begin() as connection:
            return [self._token(row) for row in connection.execute(mine).all()]

    def revoke(self, user_id: str, token_id: str) -> bool:
        """End one of a person's tokens now; what it holds open is closed."""
        return bool(self._revoke((tokens.c.user_id == user_id) & (tokens.c.id == token_id)))

    def revoke_all(self, user_id: str) -> int:
        """End every token of a person now; how many those were."""
        return self._revoke(tokens.c.user_id == user_id)

    def refresh(self) -> None:
        """See what other processes did: what is held open by a token that is no longer good is closed. Note what was used."""
        used, now = dict(self._used), self._clock()
        if not used:
            return
        with self._lock:
            with self._engine.begin() as connection:
                rows = {row.id: row for row in connection.execute(_joined().where(tokens.c.id.in_(used))).all()}
            good = {row.token_hash: (row.token_hash, _session(row, now)) for row in rows.values() if self._is_good(row)}
            self._known = {key: good[key] for key in self._known if key in good}
        alive = {session.id for _, session in good.values()}
        for token_id in used:
            if token_id not in alive:
                self._used.pop(token_id, None)
                self._end(token_id)
        noted = {row.id: aware(row.used_at) for row in rows.values() if row.used_at}
        news = [{"which": one, "at": at} for one, at in used.items() if one not in noted or at - noted[one] >= USED_EVERY]
        if news:
            with self._engine.begin() as connection:
                connection.execute(update(tokens).where(tokens.c.id == bindparam("which")).values(used_at=bindparam("at")), news)

    def look_anew(self) -> None:
        """An account has changed: what is known of any is read again when it is asked for."""
        with self._lock:
            self._known = {}

    def _look_up(self, key: str, now: datetime) -> tuple[str, Session] | None:
        with self._lock:  # so that no revocation comes between what is read and what is kept of it
            with self._engine.begin() as connection:
                row = connection.execute(_BY_HASH, {"key": key}).first()
            if row is None or not self._is_good(row):
                self._known.pop(key, None)
                return None
            self._known[key] = known = row.token_hash, _session(row, now)
            return known

    def _revoke(self, which: ColumnElement[bool]) -> int:
        with self._lock:
            with self._engine.begin() as connection:
                gone = connection.execute(delete(tokens).where(which).returning(tokens.c.id)).scalars().all()
            self._known = {}
        for token_id in gone:
            self._end(token_id)  # and again at the next refresh, for a request that was let in while this went on
        return len(gone)

    def _is_good(self, row: Row[Any]) -> bool:
        return aware(row.expires_at) > self._clock() and row.disabled_at is None and row.role != "guest"

    def _end(self, token_id: str) -> None:
        for told in self.on_revoke:
            told(token_id)

    def _token(self, row: Row[Any]) -> Token:
        used_at = self._used.get(row.id) or (aware(row.used_at) if row.used_at else None)
        return Token(row.id, row.name, row.prefix, tuple(row.scopes), aware(row.created_at), aware(row.expires_at), used_at)


def _check(account: Account, name: str, scopes: Collection[str], expires_at: datetime, now: datetime) -> None:
    """Raises NotMade with a sentence that says what to change."""
    if account.role == "guest":
        raise NotMade("Guests have no API tokens. Ask whoever invited you for an account.")
    if not 1 <= len(name.strip()) <= 100 or "\0" in name:
        raise NotMade("Give the token a name of at most 100 characters, such as what will use it.")
    if not scopes:
        raise NotMade("Choose at least one thing that the token may do.")
    if unknown := set(scopes) - set(SCOPES):
        raise NotMade(f"There is no scope {min(unknown)!r}. Choose among {', '.join(SCOPES)}.")
    if not now < expires_at <= now + LONGEST:
        raise NotMade("Choose a day within the next year on which the token ends.")


def _session(row: Row[Any], now: datetime) -> Session:
    account, scopes = Account(row.user_id, row.owner, row.role, row.quota), frozenset(row.scopes)
    return Session(row.id, account, aware(row.created_at), now, aware(row.expires_at), method="token", scopes=scopes)


def _joined() -> Select[Any]:
    owner = (users.c.name.label("owner"), users.c.role, users.c.quota, users.c.disabled_at)
    return select(tokens, *owner).join(users, users.c.id == tokens.c.user_id)


# Composed once, since that is half of what it takes, on the event loop.
_BY_HASH = _joined().where(tokens.c.token_hash == bindparam("key"))
