"""Which second factors someone has, and how often they failed: counted in the database, so that no restart forgives it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from auth.store import Clock, utc_now


class Factors:
    """Across authenticator apps, passkeys and recovery codes: enrolment, failures, the lock, and a reset."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def enrolled(self, user_id: str) -> bool:
        """Whether there is a confirmed authenticator app or a passkey."""
        raise NotImplementedError

    def locked_until(self, user_id: str) -> datetime | None:
        """When the account's lock ends, or None if it is open."""
        raise NotImplementedError

    def failed(self, user_id: str) -> bool:
        """Count a wrong factor; True if that was one too many and the account is locked from now on."""
        raise NotImplementedError

    def succeeded(self, user_id: str) -> None:
        """A right factor: what was counted is forgotten."""
        raise NotImplementedError

    def reset(self, user_id: str) -> None:
        """Remove every factor, recovery code and remembered browser, the failures and the lock (a device was lost)."""
        raise NotImplementedError
