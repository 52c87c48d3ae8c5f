"""Which second factors someone has, and how often they failed: counted in the database, so that no restart forgives it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, Update, case, delete, select, update

from auth.store import Clock, aware, browsers, passkeys, recovery_codes, totp, users, utc_now

# NIST SP 800-63B-4, 3.2.2: failures in a row are counted and slowed down, and after a hundred no factor is taken until a reset.
# Who guesses at six digits, of which three are right at a time, so has a chance of 1 in 3,000 (OWASP ASVS 5, 6.3.1).
FAILURES_A_LOCK = 5
LOCK = timedelta(minutes=15)
MOST_FAILURES = 100
UNTIL_RESET = datetime(9000, 1, 1, tzinfo=UTC)


class Factors:
    """Across authenticator apps, passkeys and recovery codes: enrolment, failures, the lock, and a reset."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def enrolled(self, user_id: str) -> bool:
        """Whether there is a confirmed authenticator app or a passkey."""
        app = select(totp.c.id).where(totp.c.user_id == user_id, totp.c.confirmed_at.is_not(None))
        passkey = select(passkeys.c.id).where(passkeys.c.user_id == user_id)
        with self._engine.begin() as connection:
            return connection.execute(app.union_all(passkey).limit(1)).first() is not None

    def locked_until(self, user_id: str) -> datetime | None:
        """When the account's lock ends (UNTIL_RESET: never by itself), or None if it is open."""
        with self._engine.begin() as connection:
            until = connection.execute(select(users.c.locked_until).where(users.c.id == user_id)).scalar()
        return aware(until) if until and aware(until) > self._clock() else None

    def failed(self, user_id: str) -> bool:
        """Count a wrong factor; True if that was one too many and the account is locked from now on."""
        failures = users.c.failures + 1
        until = case(
            (failures >= MOST_FAILURES, UNTIL_RESET),
            (failures % FAILURES_A_LOCK == 0, self._clock() + LOCK),
            else_=users.c.locked_until,
        )
        counted = update(users).where(users.c.id == user_id).values(failures=failures, locked_until=until)
        with self._engine.begin() as connection:  # one statement counts: of two at once, neither is lost
            now = connection.execute(counted.returning(users.c.failures)).scalar()
        return now is not None and (now % FAILURES_A_LOCK == 0 or now >= MOST_FAILURES)

    def succeeded(self, user_id: str) -> None:
        """A right factor: what was counted is forgotten."""
        with self._engine.begin() as connection:
            connection.execute(_forgotten(user_id))

    def reset(self, user_id: str) -> None:
        """Remove every factor, recovery code and remembered browser, the failures and the lock (a device was lost)."""
        with self._engine.begin() as connection:
            for table in (totp, passkeys, recovery_codes, browsers):
                connection.execute(delete(table).where(table.c.user_id == user_id))
            connection.execute(_forgotten(user_id))


def _forgotten(user_id: str) -> Update:
    return update(users).where(users.c.id == user_id).values(failures=0, locked_until=None)
