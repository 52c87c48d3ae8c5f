"""The people whom this server knows: found by issuer and subject, let in by a list or an invitation, never by a mere email."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, or_, select, update

from auth.sessions import Account
from auth.store import Clock, aware, identities, invitations, new_id, users, utc_now

OWNER = Account("owner", "Owner", "admin")
ROLES = ("admin", "member", "guest")


@dataclass(frozen=True, slots=True)
class Person:
    """An account as its owner and admins see it."""

    id: str
    name: str
    email: str
    role: str
    created_at: datetime
    disabled: bool
    invitation_id: str = ""

    @property
    def account(self) -> Account:
        return Account(self.id, self.name, self.role)


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may come in, as the settings say: emails and domains in lower case; `admins` are emails that come in as admins."""

    emails: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()

    def role(self, email: str, domain: str) -> str | None:
        """The role that the lists give, or None. Both were vouched for by the provider's signed token."""
        if email.lower() in self.admins:
            return "admin"
        return "member" if email.lower() in self.emails or domain.lower() in self.domains else None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a provider's checked ID token says. `email` and `domain` are "" unless it vouches for them."""

    issuer: str
    subject: str
    name: str
    email: str
    domain: str


class NotAdmitted(Exception):
    """Someone whom no list and no invitation lets in, or who was shut out; the message is for them."""


class People:
    """Finds, lets in and changes accounts."""

    def __init__(self, engine: Engine, admission: Admission = Admission(), clock: Clock = utc_now) -> None:
        self._engine, self._admission, self._clock = engine, admission, clock

    def admit(self, identity: Identity) -> Account:
        """The account of who signed in at a provider, made at the first time. Raises NotAdmitted.

        The lists are asked at each sign-in, so that a name that was taken off them is out; an invitation counts for good.
        """
        listed = self._admission.role(identity.email, identity.domain)
        known = (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)
        with self._engine.begin() as connection:
            row = connection.execute(select(users).join(identities).where(known)).first()
            if row is not None:
                if row.disabled_at is not None:
                    raise NotAdmitted("An administrator has closed this account. Ask them if you think that is a mistake.")
                if listed is None and row.invitation_id is None:
                    raise NotAdmitted(_not_listed(identity))
                role = "admin" if listed == "admin" else row.role
                values = {"name": identity.name or row.name, "email": identity.email or row.email, "role": role}
                connection.execute(update(users).where(users.c.id == row.id).values(values))
                return Account(row.id, values["name"], role)
            invited = None if listed else self._use_invitation(connection, identity.email)
            role = listed or (str(invited.role) if invited else "")
            if not role:
                raise NotAdmitted(_not_listed(identity))
            name = identity.name or identity.email or "Someone"
            account = Account(new_id(), name[:255], role)
            new = {
                "id": account.id, "name": account.name, "email": identity.email or None, "role": account.role,
                "invitation_id": invited.id if invited else None, "created_at": self._clock(),
            }  # fmt: skip
            connection.execute(insert(users).values(new))
            place = {"issuer": identity.issuer, "subject": identity.subject, "user_id": account.id, "created_at": self._clock()}
            connection.execute(insert(identities).values(place))
            return account

    def _use_invitation(self, connection: Any, email: str) -> Row[Any] | None:
        """The open invitation for this vouched-for email, with a seat taken; None if there is none."""
        if not email:
            return None
        mine = (
            (func.lower(invitations.c.email) == email.lower())
            & invitations.c.revoked_at.is_(None)
            & (invitations.c.expires_at > self._clock())
            & (invitations.c.used < invitations.c.seats)
        )
        row: Row[Any] | None = connection.execute(select(invitations).where(mine)).first()
        if row is None:
            return None
        taken = update(invitations).where(invitations.c.id == row.id, mine).values(used=invitations.c.used + 1)
        return row if connection.execute(taken).rowcount else None

    def add_guest(self, name: str, invitation_id: str, quota: int | None) -> Account:
        """A new guest of a link that they came in by, who may ask `quota` questions."""
        account = Account("guest-" + new_id(), name[:255], "guest", quota)
        new = {
            "id": account.id,
            "name": account.name,
            "role": "guest",
            "invitation_id": invitation_id,
            "quota": quota,
            "created_at": self._clock(),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(users).values(new))
        return account

    def find(self, user: str) -> Person | None:
        """By id, else by email if exactly one has it (for an admin who types it)."""
        with self._engine.begin() as connection:
            rows = connection.execute(select(users).where(users.c.id == user)).all()
            if not rows and user:
                rows = connection.execute(select(users).where(func.lower(users.c.email) == user.lower())).all()
        return _person(rows[0]) if len(rows) == 1 else None

    def all(self, search: str = "") -> list[Person]:
        """Everyone, the newest first; with `search`, those whose name or email has it."""
        query = select(users).order_by(users.c.created_at.desc())
        if search:
            query = query.where(
                or_(users.c.name.icontains(search, autoescape=True), users.c.email.icontains(search, autoescape=True))
            )
        with self._engine.begin() as connection:
            return [_person(row) for row in connection.execute(query).all()]

    def guests_of(self, invitation_id: str) -> list[Person]:
        with self._engine.begin() as connection:
            mine = (users.c.invitation_id == invitation_id) & (users.c.role == "guest")
            return [_person(row) for row in connection.execute(select(users).where(mine)).all()]

    def set_role(self, user_id: str, role: str) -> None:
        if role not in ("admin", "member"):
            raise ValueError(role)
        self._change(user_id, role=role)

    def set_disabled(self, user_id: str, disabled: bool) -> None:
        self._change(user_id, disabled_at=self._clock() if disabled else None)

    def delete(self, user_id: str) -> None:
        """Delete the account and, with it, its sessions, factors and tokens."""
        with self._engine.begin() as connection:
            connection.execute(delete(users).where(users.c.id == user_id))

    def _change(self, user_id: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(**values))


def _person(row: Row[Any]) -> Person:
    return Person(
        row.id, row.name, row.email or "", row.role, aware(row.created_at), row.disabled_at is not None, row.invitation_id or ""
    )


def _not_listed(identity: Identity) -> str:
    who = identity.email or f"The account {identity.name!r}"
    return f"{who} is not on this server's list. Ask its administrator for an invitation, or sign in with another account."
