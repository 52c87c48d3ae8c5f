"""Invitations: a person by email, or an audience by a link with a number of seats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from auth.store import Clock, utc_now


@dataclass(frozen=True, slots=True)
class Invitation:
    """As an admin sees it. `quota` is how many questions each guest may ask; None: no bound."""

    id: str
    email: str
    name: str
    role: str
    seats: int
    used: int
    quota: int | None
    created_at: datetime
    expires_at: datetime
    revoked: bool


class Invitations:
    """Makes, uses and ends invitations; a link's token is stored as its hash."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def invite(self, email: str, role: str, created_by: str, expires_at: datetime) -> Invitation:
        """Let the person in whose provider vouches for this email."""
        raise NotImplementedError

    def open_link(
        self, name: str, seats: int, quota: int | None, created_by: str, expires_at: datetime
    ) -> tuple[Invitation, str]:
        """A link for guests, and its token, which can be read this once."""
        raise NotImplementedError

    def find(self, token: str) -> Invitation | None:
        """The open invitation of a link's token (not revoked, not expired), whether or not a seat is free."""
        raise NotImplementedError

    def take_seat(self, invitation_id: str) -> bool:
        """Whether there was a free seat; it is taken by this. One statement decides, so a race has one winner."""
        raise NotImplementedError

    def get(self, invitation_id: str) -> Invitation | None:
        raise NotImplementedError

    def all(self) -> list[Invitation]:
        """The newest first, those that are over included."""
        raise NotImplementedError

    def revoke(self, invitation_id: str) -> bool:
        raise NotImplementedError

    def ended(self) -> list[Invitation]:
        """Links that expired or were revoked."""
        raise NotImplementedError
