"""Passkeys (WebAuthn) as a second factor that cannot be phished: what they sign names the site that asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from auth.store import Clock, utc_now


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
        raise NotImplementedError

    def registration(self, user_id: str, name: str, origin: str) -> tuple[str, bytes]:
        """The options for the browser, as JSON, and the challenge to keep until its answer."""
        raise NotImplementedError

    def register(self, user_id: str, name: str, answer: str, challenge: bytes, origin: str) -> bool:
        """Keep the passkey that the browser's JSON `answer` holds, if it stands up to every check."""
        raise NotImplementedError

    def authentication(self, user_id: str, origin: str) -> tuple[str, bytes]:
        """The options for the browser, as JSON, and the challenge to keep until its answer."""
        raise NotImplementedError

    def check(self, user_id: str, answer: str, challenge: bytes, origin: str) -> bool:
        """Whether the browser's JSON `answer` is signed by one of this person's passkeys, for this challenge and origin."""
        raise NotImplementedError

    def all(self, user_id: str) -> list[Passkey]:
        raise NotImplementedError

    def rename(self, user_id: str, passkey_id: str, name: str) -> bool:
        raise NotImplementedError

    def remove(self, user_id: str, passkey_id: str) -> bool:
        raise NotImplementedError
