"""The people whom this server knows: found by issuer and subject, let in by a list or an invitation, never by a mere email."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, or_, select, update

from auth.admission import ROLES, Admission, Admitted, Door, Identity, NotAdmitted
from auth.store import Clock, aware, identities, new_id, users, utc_now
from auth.who import Account

__all__ = ["OWNER", "ROLES", "Admission", "Admitted", "Identity", "NotAdmitted", "People", "Person"]

OWNER = Account("owner", "Owner", "admin")


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


class People(Door):
    """Finds and changes accounts; how someone comes in stands in auth/admission.py.

    `on_change` is called after an account was changed or deleted, for whoever keeps what was read of it.
    """

    def __init__(self, engine: Engine, admission: Admission = Admission(), clock: Clock = utc_now) -> None:  # noqa: B008 (frozen)
        super().__init__(engine, admission, clock)
        self.on_change: list[Callable[[], None]] = []

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

    def identities(self, user_id: str) -> list[tuple[str, str]]:
        """The (issuer, subject) pairs by which providers know someone."""
        with self._engine.begin() as connection:
            mine = select(identities.c.issuer, identities.c.subject).where(identities.c.user_id == user_id)
            return [(row.issuer, row.subject) for row in connection.execute(mine)]

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

    def set_role(self, user_id: str, role: str) -> None:
        """Whoever is on the settings' list of admins is an admin again at their next sign-in."""
        if role not in ("admin", "member"):
            raise ValueError(role)
        self._change(user_id, role=role, own_role=None)

    def demote(self, user_id: str) -> bool:
        """Make an admin a member, unless no other would be left. Of two who demote each other at once, one stays."""
        with self._engine.begin() as connection:
            admin = (users.c.role == "admin") & users.c.disabled_at.is_(None)
            # One at a time, where rows and not the file are locked.
            connection.execute(select(users.c.id).where(admin).order_by(users.c.id).with_for_update())
            others = select(users.c.id).where(admin, users.c.id != user_id).correlate(None)
            change = update(users).where(users.c.id == user_id, others.exists()).values(role="member", own_role=None)
            demoted = bool(connection.execute(change).rowcount)
        self._changed()
        return demoted

    def set_disabled(self, user_id: str, disabled: bool) -> None:
        self._change(user_id, disabled_at=self._clock() if disabled else None)

    def delete(self, user_id: str) -> None:
        """Delete the account and, with it, its sessions, factors and tokens."""
        with self._engine.begin() as connection:
            connection.execute(delete(users).where(users.c.id == user_id))
        self._changed()

    def _change(self, user_id: str, **values: object) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(users).where(users.c.id == user_id).values(**values))
        self._changed()

    def _changed(self) -> None:
        for told in self.on_change:
            told()


def _person(row: Row[Any]) -> Person:
    return Person(
        row.id, row.name, row.email or "", row.role, aware(row.created_at), row.disabled_at is not None, row.invitation_id or ""
    )
