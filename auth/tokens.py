"""API tokens: for programs, with scopes and an expiry; shown once, stored as a hash."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from auth.sessions import Account, Session
from auth.store import Clock, utc_now

PREFIX = "portico_"  # by which scanners find a token that was committed by mistake
SCOPES = {"chat": "Ask the model", "models": "List the models"}


@dataclass(frozen=True, slots=True)
class Token:
    """As its owner sees it."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class Tokens:
    """Makes, finds and revokes API tokens."""

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self._engine, self._clock = engine, clock
        self.on_revoke: list[Callable[[str], None]] = []

    def make(self, account: Account, name: str, scopes: Collection[str], expires_at: datetime) -> tuple[Token, str]:
        """A token and its text, which can be read this once."""
        raise NotImplementedError

    def find(self, text: str) -> Session | None:
        """The session (level "full", method "token", with `scopes`) of a token that is good; its id is the token's."""
        raise NotImplementedError

    def all(self, user_id: str) -> list[Token]:
        raise NotImplementedError

    def revoke(self, user_id: str, token_id: str) -> bool:
        """End one of a person's tokens now; what it holds open is closed."""
        raise NotImplementedError

    def revoke_all(self, user_id: str) -> int:
        raise NotImplementedError
