"""One-time codes by time (RFC 6238), for any authenticator app: six digits, SHA-1, 30 seconds, which is what all of them read."""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta

import pyotp
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from auth.keys import SecretError, Vault
from auth.store import Clock, new_id, totp, users, utc_now

SECRET_CHARS = 32  # of base32: 160 bits, the length of the hash (RFC 4226, 4, R6)
STEP_S = 30
DRIFT = 1  # steps either way: a clock that is off, a code that took a while to type (RFC 6238, 5.2)
PENDING = timedelta(hours=1)  # an unconfirmed secret stays the same: a page that is loaded anew must not change its QR code
ISSUER = "Portico"
NEVER = -1  # no code was taken yet


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that waits for its first code: as text to type (base32, 160 bits) and as the address in the QR code."""

    id: str
    secret: str
    uri: str


class Totp:
    """Authenticator apps: one confirmed secret a person. Methods that read a stored secret raise SecretError (auth/keys.py)."""

    def __init__(self, engine: Engine, vault: Vault, clock: Clock = utc_now) -> None:
        self._engine, self._vault, self._clock = engine, vault, clock

    def begin(self, user_id: str, account_name: str, issuer: str = ISSUER, session_id: str = "") -> Enrolment:
        """The unconfirmed secret of this person's session, the same again until it is confirmed or an hour old.

        Each session has one of its own: nobody else who came as far as the first factor has seen the one that is confirmed.
        """
        if waiting := self._waiting(user_id, session_id):
            row_id, secret = waiting[0]
        else:
            row_id, secret = new_id(), pyotp.random_base32(SECRET_CHARS)
            new = {
                "id": row_id, "user_id": user_id, "session_id": session_id, "last_step": NEVER, "created_at": self._clock(),
                "secret": self._vault.seal(secret.encode(), row_id),
            }  # fmt: skip
            with self._engine.begin() as connection:  # anybody's that was given up goes too: it may be sealed with an old secret
                connection.execute(delete(totp).where(totp.c.confirmed_at.is_(None), self._too_old()))
                connection.execute(insert(totp).values(new))
        return Enrolment(row_id, secret, pyotp.TOTP(secret).provisioning_uri(name=account_name, issuer_name=issuer))

    def is_pending(self, user_id: str, session_id: str = "") -> bool:
        """Whether a secret of this session waits for its first code."""
        return bool(self._waiting(user_id, session_id))

    def confirm(self, user_id: str, code: str, session_id: str = "") -> bool:
        """Whether `code` is right for this session's unconfirmed secret; it is the confirmed one then, in place of any before."""
        for row_id, secret in self._waiting(user_id, session_id):  # two pages that were opened at once have one each
            step = self._matching_step(secret, code)
            if step is not None and self._make_confirmed(user_id, row_id, step):
                return True
        return False

    def check(self, user_id: str, code: str) -> bool:
        """Whether `code` is right for the confirmed secret, at most one step off, and newer than the last one taken."""
        with self._engine.begin() as connection:
            row = connection.execute(select(totp).where(self._confirmed(user_id))).first()
        if row is None:
            return False
        secret = self._vault.open(row.secret, row.id)
        step = self._matching_step(secret.decode(), code)
        if step is None:
            return False
        values: dict[str, object] = {"last_step": step}
        if not self._vault.is_current(row.secret):  # so that the old secret can be taken off the list one day
            values["secret"] = self._vault.seal(secret, row.id)
        with self._engine.begin() as connection:
            return _take_step(connection, totp.c.id == row.id, step, values)

    def has(self, user_id: str) -> bool:
        """Whether there is a confirmed secret."""
        with self._engine.begin() as connection:
            return connection.execute(select(totp.c.id).where(self._confirmed(user_id))).first() is not None

    def remove(self, user_id: str) -> None:
        """Remove the confirmed secret, and one that waits."""
        with self._engine.begin() as connection:
            connection.execute(delete(totp).where(totp.c.user_id == user_id))

    def _waiting(self, user_id: str, session_id: str) -> list[tuple[str, str]]:
        """(row id, secret) of what is unconfirmed and young enough, the newest first."""
        mine = (totp.c.user_id == user_id) & (totp.c.session_id == session_id) & totp.c.confirmed_at.is_(None) & ~self._too_old()
        with self._engine.begin() as connection:
            rows = connection.execute(select(totp).where(mine).order_by(totp.c.created_at.desc(), totp.c.id)).all()
        found = []
        for row in rows:
            try:
                found.append((row.id, self._vault.open(row.secret, row.id).decode()))
            except SecretError:  # the server's secret is another by now: begin anew, nothing is lost
                continue
        return found

    def _make_confirmed(self, user_id: str, row_id: str, step: int) -> bool:
        with self._engine.begin() as connection:
            # One at a time, where rows and not the file are locked: of two secrets confirmed at once one must stay.
            connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())
            waiting = (totp.c.id == row_id) & totp.c.confirmed_at.is_(None)
            if not _take_step(connection, waiting, step, {"last_step": step, "confirmed_at": self._clock()}):
                return False
            connection.execute(delete(totp).where(totp.c.user_id == user_id, totp.c.id != row_id))
            return True

    def _matching_step(self, secret: str, code: str) -> int | None:
        """The newest time step near now whose code this is. Takes as long for any code."""
        given, now = _digits(code), int(self._clock().timestamp()) // STEP_S
        maker = pyotp.TOTP(secret)
        steps = range(now - DRIFT, now + DRIFT + 1)
        matching = [step for step in steps if hmac.compare_digest(maker.generate_otp(step), given)]
        return matching[-1] if matching else None

    def _confirmed(self, user_id: str) -> ColumnElement[bool]:
        return (totp.c.user_id == user_id) & totp.c.confirmed_at.is_not(None)

    def _too_old(self) -> ColumnElement[bool]:
        return totp.c.created_at <= self._clock() - PENDING


def confirmed_apps(engine: Engine) -> list[tuple[str, bytes]]:
    """(id, secret) of everybody's authenticator apps. One that was never confirmed is no factor, and no loss."""
    with engine.begin() as connection:
        rows = connection.execute(select(totp.c.id, totp.c.secret).where(totp.c.confirmed_at.is_not(None))).all()
    return [(row.id, row.secret) for row in rows]


def _take_step(connection: Connection, row: ColumnElement[bool], step: int, values: dict[str, object]) -> bool:
    """Whether this `step` is newer than the last; it is the last one then. One statement decides (RFC 6238, 5.2)."""
    return connection.execute(update(totp).where(row, totp.c.last_step < step).values(values)).rowcount == 1


def _digits(code: str) -> str:
    """`code` as apps show it and as people type it ("123 456", full-width digits), as six digits; "" if it is nothing such."""
    plain = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code[:100]))
    return plain if re.fullmatch("[0-9]{6}", plain) else ""
