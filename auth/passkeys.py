"""Passkeys (WebAuthn) as a second factor that cannot be phished: what they sign names the site that asked."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth.store import Clock, aware, new_id, passkeys, users, utc_now

log = logging.getLogger("portico.auth")

MOST = 10  # passkeys a person
NAME_LENGTH = 100

# auth.ceremonies is imported where it is used: its library takes a third of a second, which the start would wait for.


@dataclass(frozen=True, slots=True)
class Passkey:
    """As its owner sees it."""

    id: str
    name: str
    created_at: datetime
    used_at: datetime | None


class Passkeys:
    """Registers and checks passkeys. `origin` is the page's own, such as "https://demo.example.com"."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock

    @staticmethod
    def possible(origin: str) -> bool:
        """Whether browsers do passkeys there: https with a name, or http://localhost; never a bare IP address."""
        return rp_id(origin) is not None

    def registration(self, user_id: str, name: str, origin: str) -> tuple[str, bytes]:
        """The options for the browser, as JSON, and the challenge to keep until its answer."""
        from auth import ceremonies

        with self._engine.begin() as connection:
            handle, known = _handle(connection, user_id), _credentials(connection, user_id)
        return ceremonies.creation(rp_id(origin) or "", name, handle, known)

    def register(self, user_id: str, name: str, answer: str, challenge: bytes, origin: str) -> bool:
        """Keep the passkey that the browser's JSON `answer` holds, if it stands up to every check."""
        from auth import ceremonies

        try:
            made = ceremonies.made(answer, challenge, rp_id(origin) or "", origin)
        except ceremonies.Refused as error:
            return _refused(user_id, error)
        row = {
            "id": new_id(), "user_id": user_id, "name": clean_name(name), "credential_id": made.credential_id,
            "public_key": made.public_key, "sign_count": made.sign_count, "created_at": self._clock(),
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                if not _has_room(connection, user_id):
                    return _refused(user_id, f"there are {MOST} already")
                connection.execute(insert(passkeys).values(row))
        except IntegrityError:  # a credential id that is known already, whoever's it is (Level 3, 7.1, step 26)
            return _refused(user_id, "it is registered already")
        return True

    def authentication(self, user_id: str, origin: str) -> tuple[str, bytes]:
        """The options for the browser, as JSON, and the challenge to keep until its answer."""
        from auth import ceremonies

        with self._engine.begin() as connection:
            known = _credentials(connection, user_id)
        return ceremonies.request(rp_id(origin) or "", known)

    def check(self, user_id: str, answer: str, challenge: bytes, origin: str) -> bool:
        """Whether the browser's JSON `answer` is signed by one of this person's passkeys, for this challenge and origin."""
        from auth import ceremonies

        try:
            used = ceremonies.used(answer)
            mine = (passkeys.c.credential_id == used.credential_id) & (passkeys.c.user_id == user_id)
            with self._engine.begin() as connection:
                row, handle = connection.execute(select(passkeys).where(mine)).first(), _handle(connection, user_id)
            if row is None or (used.handle and not ceremonies.is_handle(used.handle, handle)):
                return _refused(user_id, "it is none of this person's")
            count = ceremonies.count(used, challenge, rp_id(origin) or "", origin, row.public_key, row.sign_count)
        except ceremonies.Refused as error:
            return _refused(user_id, error)
        return self._note_used(row, count) or _refused(user_id, "another answer had the same count")

    def all(self, user_id: str) -> list[Passkey]:
        """A person's passkeys, the oldest first."""
        mine = select(passkeys).where(passkeys.c.user_id == user_id).order_by(passkeys.c.created_at, passkeys.c.id)
        with self._engine.begin() as connection:
            return [
                Passkey(row.id, row.name, aware(row.created_at), aware(row.used_at) if row.used_at else None)
                for row in connection.execute(mine).all()
            ]

    def rename(self, user_id: str, passkey_id: str, name: str) -> bool:
        """Whether there is such a passkey of this person; it bears `name` from now on."""
        mine = (passkeys.c.id == passkey_id) & (passkeys.c.user_id == user_id)
        with self._engine.begin() as connection:
            return bool(connection.execute(update(passkeys).where(mine).values(name=clean_name(name))).rowcount)

    def remove(self, user_id: str, passkey_id: str) -> bool:
        """Whether there was such a passkey of this person; it opens nothing from now on."""
        mine = (passkeys.c.id == passkey_id) & (passkeys.c.user_id == user_id)
        with self._engine.begin() as connection:
            return bool(connection.execute(delete(passkeys).where(mine)).rowcount)

    def _note_used(self, row: Row[Any], count: int) -> bool:
        """Of two answers with one count (a race, or a copied key) the first wins; keys that count nothing always say 0."""
        same = (passkeys.c.id == row.id) & (passkeys.c.sign_count == row.sign_count)
        with self._engine.begin() as connection:
            values = {"sign_count": count, "used_at": self._clock()}
            return bool(connection.execute(update(passkeys).where(same).values(values)).rowcount)


def rp_id(origin: str) -> str | None:
    """The name that passkeys are made for at `origin`: without the port, which they do not know; None where there are none.

    Browsers do passkeys under https with a name, and at http://localhost; never at a bare IP address (Level 3, 5.1.3, step 7).
    """
    parts = urlsplit(origin)
    name = parts.hostname or ""
    try:
        ip_address(name)
    except ValueError:
        return name if name and (parts.scheme == "https" or name == "localhost") else None
    return None


def _has_room(connection: Connection, user_id: str) -> bool:
    # Changes nothing, but makes whoever adds one for the same person at the same time wait for the count.
    connection.execute(update(users).where(users.c.id == user_id).values(id=users.c.id))
    return connection.execute(select(func.count()).where(passkeys.c.user_id == user_id)).scalar_one() < MOST


def _handle(connection: Connection, user_id: str) -> bytes:
    """What names the person to their device: it says nothing of them, and stays the same (Level 3, 14.6.1).

    Two servers on one machine share the name localhost, and each has an "owner"; when that was made tells them apart, or one
    server's passkey would take the place of the other's.
    """
    created_at = connection.execute(select(users.c.created_at).where(users.c.id == user_id)).scalar_one()
    return hashlib.sha256(f"portico passkeys {aware(created_at).timestamp():.6f} {user_id}".encode()).digest()


def _credentials(connection: Connection, user_id: str) -> list[bytes]:
    rows = connection.execute(select(passkeys.c.credential_id).where(passkeys.c.user_id == user_id)).scalars()
    return [bytes(one) for one in rows]


def _refused(user_id: str, why: object) -> bool:
    log.warning("a passkey was refused for %s: %.200s", user_id, why)
    return False


def clean_name(name: str) -> str:
    """`name` on one line and as long as its column; never empty."""
    return " ".join(name.replace("\0", "").split())[:NAME_LENGTH] or "Passkey"
