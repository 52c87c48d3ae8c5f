"""One-time codes by time (RFC 6238), for any authenticator app."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from auth.keys import Vault
from auth.store import Clock, utc_now


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret that waits for its first code: as text to type (base32, 160 bits) and as the address in the QR code."""

    id: str
    secret: str
    uri: str


class Totp:
    """Authenticator apps: one confirmed secret a person."""

    def __init__(self, engine: Engine, vault: Vault, clock: Clock = utc_now) -> None:
        self._engine, self._vault, self._clock = engine, vault, clock

    def begin(self, user_id: str, account_name: str) -> Enrolment:
        """The unconfirmed secret of this person, the same again until it is confirmed or an hour old."""
        raise NotImplementedError

    def confirm(self, user_id: str, code: str) -> bool:
        """Whether `code` is right for the unconfirmed secret; it is the confirmed one then, in place of any before."""
        raise NotImplementedError

    def check(self, user_id: str, code: str) -> bool:
        """Whether `code` is right for the confirmed secret, at most one step off, and newer than the last one taken."""
        raise NotImplementedError

    def has(self, user_id: str) -> bool:
        """Whether there is a confirmed secret."""
        raise NotImplementedError

    def remove(self, user_id: str) -> None:
        raise NotImplementedError
