"""Who may come in: by the settings' lists or by an invitation, and only as a provider's signed token vouches for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth.store import Clock, identities, invitations, new_id, users, utc_now
from auth.who import Account

ROLES = ("admin", "member", "guest")  # the most first
CLOSED = "An administrator has closed this account. Ask them if you think that is a mistake."
ATTEMPTS = 5  # each is lost only to another tab of the same person, or to an admin who changes them just then


@dataclass(frozen=True, slots=True)
class Admission:
    """The settings' lists: emails and domains in lower case; `admins` are emails that come in as admins."""

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


@dataclass(frozen=True, slots=True)
class Admitted:
    """Someone who was let in; `invitation_id` is the invitation that they used up by it, if they did."""

    account: Account
    invitation_id: str = ""


class NotAdmitted(Exception):
    """Someone whom no list and no invitation lets in, or who was shut out; the message is for them."""


class _Meanwhile(Exception):
    """Someone was changed between reading and writing."""


class Door:
    """Lets people in by `admission` and by invitations, and makes their accounts."""

    def __init__(self, engine: Engine, admission: Admission = Admission(), clock: Clock = utc_now) -> None:
        self._engine, self._admission, self._clock = engine, admission, clock

    def admit(self, identity: Identity) -> Admitted:
        """The account of who signed in at a provider, made at the first time. Raises NotAdmitted.

        The lists are asked at each sign-in, so that a name that was taken off them is out; an invitation counts for good.
        Whoever is on the list of admins is one for as long as they are on it, and what they were before when off it; a role
        that an admin or an invitation gave is theirs. One who was deleted is new; to keep someone out, disable them.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._admit(identity)
            except (IntegrityError, _Meanwhile):
                continue
        return self._admit(identity)

    def _admit(self, identity: Identity) -> Admitted:
        listed = self._admission.role(identity.email, identity.domain)
        with self._engine.begin() as connection:
            row = _known(connection, identity)
            if row is None:
                invitation = self._use_invitation(connection, identity.email)
                if listed or invitation:
                    return self._add(connection, identity, listed, invitation)
                row = _known(connection, identity)  # another tab of theirs may have taken the invitation's last seat just now
            if row is None:
                raise NotAdmitted(_not_listed(identity))
            return self._welcome_back(connection, row, identity, listed)

    def _add(self, connection: Connection, identity: Identity, listed: str | None, invitation: Row[Any] | None) -> Admitted:
        least = "member" if listed else "guest"
        roles = _roles(_higher(invitation.role, least) if invitation else least, listed)
        new: dict[str, Any] = {
            "id": new_id(), "name": (identity.name or identity.email or "Someone")[:255], "email": identity.email or None,
            "domain": identity.domain or None, "invitation_id": invitation.id if invitation else None,
            "quota": invitation.quota if invitation else None, "created_at": self._clock(), **roles,
        }  # fmt: skip
        place = {"issuer": identity.issuer, "subject": identity.subject, "user_id": new["id"], "created_at": self._clock()}
        connection.execute(insert(users).values(new))
        connection.execute(insert(identities).values(place))
        return Admitted(Account(new["id"], new["name"], new["role"], new["quota"]), new["invitation_id"] or "")

    def _welcome_back(self, connection: Connection, row: Row[Any], identity: Identity, listed: str | None) -> Admitted:
        if row.disabled_at is not None:
            raise NotAdmitted(CLOSED)
        own, invitation = row.own_role or row.role, None
        if listed is None and row.invitation_id is None:
            invitation = self._use_invitation(connection, identity.email)
            if invitation is None:
                raise NotAdmitted(_not_listed(identity))
            own = _higher(own, invitation.role)
        values = {
            "name": identity.name[:255] or row.name, "email": identity.email or row.email,
            "domain": identity.domain or row.domain, "invitation_id": invitation.id if invitation else row.invitation_id,
            **_roles(own, listed),
        }  # fmt: skip
        # An admin may be taking a role away, or shutting them out, at this moment: that must not be written over.
        same = (users.c.id == row.id) & (users.c.role == row.role) & users.c.own_role.is_not_distinct_from(row.own_role)
        if not connection.execute(update(users).where(same, users.c.disabled_at.is_(None)).values(values)).rowcount:
            raise _Meanwhile
        return Admitted(Account(row.id, values["name"], values["role"], row.quota), invitation.id if invitation else "")

    def _use_invitation(self, connection: Connection, email: str) -> Row[Any] | None:
        """The open invitation for this vouched-for email, with a seat taken; None if there is none."""
        if not email:
            return None
        mine = (
            (func.lower(invitations.c.email) == email.lower())
            & invitations.c.revoked_at.is_(None)
            & (invitations.c.expires_at > self._clock())
            & (invitations.c.used < invitations.c.seats)
        )
        row: Row[Any] | None = connection.execute(
            select(invitations).where(mine).order_by(invitations.c.created_at.desc())
        ).first()
        if row is None:
            return None
        taken = update(invitations).where(invitations.c.id == row.id, mine).values(used=invitations.c.used + 1)
        return row if connection.execute(taken).rowcount else None

    def apply_lists(self) -> list[str]:
        """Bring those who are here already in line with the settings' lists, which may have changed; for the server's start.

        Whoever is off the list of admins is none any more. Returns the ids of those whom nothing lets in any more: their
        sessions and tokens are the caller's to end.
        """
        query = select(users).where(users.c.id.in_(select(identities.c.user_id)))
        gone = []
        with self._engine.begin() as connection:
            for row in connection.execute(query).all():
                listed = self._admission.role(row.email or "", row.domain or "")
                if row.own_role and listed != "admin":
                    values = {"role": row.own_role, "own_role": None}
                    connection.execute(update(users).where(users.c.id == row.id).values(values))
                if listed is None and row.invitation_id is None:
                    gone.append(row.id)
        return gone

    def only_domain(self) -> str:
        """The one domain that everyone who may come in belongs to, as a hint for a provider's choice of accounts; else ""."""
        if len(self._admission.domains) != 1:
            return ""
        (domain,) = self._admission.domains
        if not all(email.endswith("@" + domain) for email in self._admission.emails | self._admission.admins):
            return ""
        outside = invitations.c.email.is_not(None) & ~func.lower(invitations.c.email).endswith("@" + domain, autoescape=True)
        with self._engine.begin() as connection:
            return "" if connection.execute(select(invitations.c.id).where(outside)).first() else domain


def _known(connection: Connection, identity: Identity) -> Row[Any] | None:
    known = (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)
    row: Row[Any] | None = connection.execute(select(users).join(identities).where(known)).first()
    return row


def _roles(own: str, listed: str | None) -> dict[str, str | None]:
    """The columns of someone's role, whose own it is; the settings' list of admins goes above it."""
    return {"role": "admin", "own_role": own} if listed == "admin" and own != "admin" else {"role": own, "own_role": None}


def _not_listed(identity: Identity) -> str:
    if not identity.email:
        return (
            "This account comes without an email address that its provider has verified, and this server knows people by theirs. "
            "Ask its administrator, or sign in with another account."
        )
    return (
        f"The address {identity.email} is not on this server's list. "
        "Ask its administrator for an invitation, or sign in with another account."
    )


def _higher(one: str, other: str) -> str:
    """The role of the two that may do more."""
    return min(one, other, key=ROLES.index)
