"""The audit log: who did what, to whom, from where and when. Never a secret: details are named, short and chosen by us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, func, insert, or_, select

from auth.store import Clock, audit, aware, users, utc_now

CHUNK = 1000  # entries that are read at once

# Each event's name and what it means to a reader. A test holds docs/sign-in.md and the code against this list.
EVENTS = {
    "sign-in": "Someone signed in",
    "sign-in-refused": "Someone was not let in",
    "sign-out": "Someone signed out",
    "second-factor": "A second factor was shown",
    "second-factor-failed": "A second factor was wrong",
    "locked": "Too many wrong second factors: locked for a while",
    "totp-added": "An authenticator app was added",
    "totp-removed": "An authenticator app was removed",
    "passkey-added": "A passkey was added",
    "passkey-removed": "A passkey was removed",
    "recovery-codes-made": "New recovery codes were made",
    "recovery-code-used": "A recovery code was used",
    "browser-remembered": "A browser was remembered",
    "browser-forgotten": "A remembered browser was forgotten",
    "session-ended": "A session was ended by its owner",
    "sessions-ended": "All other sessions were ended",
    "token-made": "An API token was made",
    "token-revoked": "An API token was revoked",
    "exported": "Data were exported",
    "invited": "An invitation was made",
    "invitation-used": "An invitation was used",
    "invitation-revoked": "An invitation was revoked",
    "role-changed": "A role was changed",
    "factors-reset": "Someone's second factors were reset",
    "signed-out-everywhere": "Someone was signed out everywhere",
    "user-disabled": "Someone was shut out",
    "user-enabled": "Someone was let in again",
    "user-deleted": "An account was deleted",
    "model-loaded": "A model was asked to be loaded",
    "model-unloaded": "A model was unloaded",
    "model-removed": "A model was taken off the list",
}


MOST_REFUSED, MOST_REFUSED_EACH = 2000, 100  # sign-ins that were refused an hour, in all and from one address


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, for the log: the peer's address and its browser as it names itself."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log."""

    id: int
    at: datetime
    event: str
    actor_id: str
    actor: str
    subject_id: str
    address: str
    agent: str
    details: Mapping[str, str]


class Audit:
    """Writes and reads the log."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    def record(
        self, event: str, actor_id: str = "", actor: str = "", origin: Origin = Origin(), subject_id: str = "", **details: str
    ) -> None:  # fmt: skip
        """Write that `actor` did `event`, to `subject_id` if that is someone or something else."""
        if event not in EVENTS:
            raise ValueError(f"no audit event {event!r}")
        if event == "sign-in-refused" and self._is_flooded(origin.address):
            return
        values = {
            "event": event, "actor_id": actor_id, "actor": actor[:255], "subject_id": subject_id,
            "address": origin.address[:64], "agent": origin.agent[:255], "details": details, "at": self._clock(),
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(insert(audit).values(values))

    def _is_flooded(self, address: str) -> bool:
        """Whether enough refusals stand in the log for this hour: anybody can cause one, and must not bury the others."""
        lately = (audit.c.event == "sign-in-refused") & (audit.c.at > self._clock() - timedelta(hours=1))
        with self._engine.begin() as connection:
            total = connection.execute(select(func.count()).where(lately)).scalar() or 0
            theirs = connection.execute(select(func.count()).where(lately, audit.c.address == address[:64])).scalar() or 0
        return total >= MOST_REFUSED or theirs >= MOST_REFUSED_EACH

    def entries(self, event: str = "", person: str = "", before: int | None = None, limit: int | None = 100) -> list[Entry]:
        """The newest first: of one `event`, by or about one `person` (id, or a part of a name or email), older than `before`."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if event:
            query = query.where(audit.c.event == event)
        if person:
            query = query.where(_about(person))
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [
            Entry(row.id, aware(row.at), row.event, row.actor_id, row.actor, row.subject_id, row.address, row.agent, row.details)
            for row in rows
        ]

    def walk(self, event: str = "", person: str = "") -> Iterator[Entry]:
        """All that `entries` finds, however many those are."""
        before: int | None = None
        while found := self.entries(event, person, before, CHUNK):
            yield from found
            before = found[-1].id


def _about(person: str) -> ColumnElement[bool]:
    """By or about `person`. Entries outlive accounts: a name that is gone is still found as the one who acted."""
    called = users.c.name.icontains(person, autoescape=True) | users.c.email.icontains(person, autoescape=True)
    known = select(users.c.id).where(called)
    return or_(
        audit.c.actor.icontains(person, autoescape=True), audit.c.actor_id == person, audit.c.subject_id == person,
        audit.c.actor_id.in_(known), audit.c.subject_id.in_(known),
        audit.c.details["email"].as_string().icontains(person, autoescape=True),  # of one who was not let in
    )  # fmt: skip
