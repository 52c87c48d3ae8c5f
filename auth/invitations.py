"""Invitations: a person by email, or an audience by a link with a number of seats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, exists, insert, or_, select, update

from auth.store import Clock, aware, invitations, new_id, new_token, sessions, token_hash, users, utc_now

MOST_SEATS = 1000
MOST_QUESTIONS = 100_000
MOST_DAYS = 90
LONGEST = timedelta(days=MOST_DAYS)
SETTLING = timedelta(minutes=1)  # how old a guest without a session must be to count as gone: a new one is still coming in

EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


class NotInvited(Exception):
    """An invitation that cannot be made as it was asked for: `field` is what to change, the message is for its maker."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Invitation:
    """As an admin sees it: by `email`, or a link if that is "". `quota` is how many questions each guest may ask, None: any."""

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

    @property
    def is_link(self) -> bool:
        return not self.email

    def state(self, now: datetime) -> str:
        """ "open", "used" (an email's), "full" (a link's: its guests are in, nobody more comes in), "expired" or "revoked"."""
        if self.revoked:
            return "revoked"
        if not self.is_link and self.used >= self.seats:
            return "used"
        if now >= self.expires_at:
            return "expired"
        return "full" if self.used >= self.seats else "open"


class Invitations:
    """Makes, uses and ends invitations; a link's token is stored as its hash."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def invite(self, email: str, role: str, created_by: str, expires_at: datetime) -> Invitation:
        """Let the person in whose provider vouches for this email. Raises NotInvited."""
        email = email.strip().lower()  # as it is compared
        if len(email) > 320 or not EMAIL.fullmatch(email):
            raise NotInvited("email", "Give a whole email address, such as ada@example.com.")
        if role not in ("admin", "member"):
            raise NotInvited("role", "Choose admin or member.")
        self._check_end(expires_at)
        if self.of_email(email):
            raise NotInvited(
                "email",
                f"{email} is invited already. To make another invitation, revoke that one first: on the page of invitations, "
                f"or with `python app.py user revoke {email}`.",
            )
        return self._add(email=email, name=email[:100], role=role, seats=1, created_by=created_by, expires_at=expires_at)

    def open_link(
        self, name: str, seats: int, quota: int | None, created_by: str, expires_at: datetime
    ) -> tuple[Invitation, str]:
        """A link for guests, and its token, which can be read this once. Raises NotInvited."""
        name = name.strip()
        if not 1 <= len(name) <= 100 or "\0" in name:
            raise NotInvited("name", "Give the link a name of at most 100 characters, such as the occasion.")
        if not 1 <= seats <= MOST_SEATS:
            raise NotInvited("seats", f"Choose between 1 and {MOST_SEATS} seats.")
        if quota is not None and not 1 <= quota <= MOST_QUESTIONS:
            raise NotInvited("quota", f"Choose between 1 and {MOST_QUESTIONS} questions, or leave it empty for no bound.")
        self._check_end(expires_at)
        token = new_token()
        made = self._add(
            token_hash=token_hash(token), name=name, role="guest", seats=seats, quota=quota, created_by=created_by,
            expires_at=expires_at,
        )  # fmt: skip
        return made, token

    def find(self, token: str) -> Invitation | None:
        """The open invitation of a link's token (not revoked, not expired), whether or not a seat is free."""
        return self._one(invitations.c.token_hash == token_hash(token), self._open())

    def take_seat(self, invitation_id: str) -> int:
        """The number of the free seat of a link that is taken by this, 0 if there was none.

        One statement decides, so a race for the last seat has one winner, and nobody comes in by a link that has just ended.
        """
        free = (
            (invitations.c.id == invitation_id)
            & invitations.c.token_hash.is_not(None)
            & (invitations.c.used < invitations.c.seats)
            & self._open()
        )
        taken = update(invitations).where(free).values(used=invitations.c.used + 1).returning(invitations.c.used)
        with self._engine.begin() as connection:
            return int(connection.execute(taken).scalar() or 0)

    def get(self, invitation_id: str) -> Invitation | None:
        return self._one(invitations.c.id == invitation_id)

    def all(self) -> list[Invitation]:
        """The newest first, those that are over included."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(invitations).order_by(invitations.c.created_at.desc(), invitations.c.id)).all()
        return [_invitation(row) for row in rows]

    def of_email(self, email: str) -> Invitation | None:
        """The open invitation for this email, not used yet."""
        theirs = (invitations.c.email == email.strip().lower()) & (invitations.c.used < invitations.c.seats)
        return self._one(theirs, self._open())

    def revoke(self, invitation_id: str) -> bool:
        """End an invitation that is not over: nobody more comes in by it; its guests are seen out by `sweep` (auth/guests.py)."""
        ended = update(invitations).where(invitations.c.id == invitation_id, self._open()).values(revoked_at=self._clock())
        with self._engine.begin() as connection:
            return bool(connection.execute(ended).rowcount)

    def lapsed_guests(self) -> list[str]:
        """The guests whose link is over, or who signed out: without a session nobody reaches their account again."""
        link_is_open = exists().where(invitations.c.id == users.c.invitation_id, self._open())
        signed_in = exists().where(sessions.c.user_id == users.c.id)
        gone = (users.c.created_at < self._clock() - SETTLING) & ~signed_in
        with self._engine.begin() as connection:
            lapsed = select(users.c.id).where(users.c.role == "guest", or_(~link_is_open, gone))
            return list(connection.execute(lapsed).scalars())

    def _open(self) -> ColumnElement[bool]:
        return invitations.c.revoked_at.is_(None) & (invitations.c.expires_at > self._clock())

    def _check_end(self, expires_at: datetime) -> None:
        if not self._clock() < expires_at <= self._clock() + LONGEST:
            raise NotInvited("days", f"An invitation lasts between 1 and {MOST_DAYS} days.")

    def _one(self, *conditions: ColumnElement[bool]) -> Invitation | None:
        with self._engine.begin() as connection:
            row = connection.execute(select(invitations).where(*conditions)).first()
        return _invitation(row) if row else None

    def _add(self, **values: Any) -> Invitation:
        with self._engine.begin() as connection:
            row = insert(invitations).values(id=new_id(), created_at=self._clock(), **values).returning(invitations)
            return _invitation(connection.execute(row).one())


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        row.id, row.email or "", row.name, row.role, row.seats, row.used, row.quota, aware(row.created_at), aware(row.expires_at),
        row.revoked_at is not None,
    )  # fmt: skip
