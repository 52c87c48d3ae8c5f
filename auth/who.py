"""Who is asking, as the guard tells it: an account, and the session by which it asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in. `id` is stable; roles are admin, member and guest; `quota` is how many questions they may ask in all."""

    id: str
    name: str
    role: str
    quota: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """An account's session in one browser, or an API token's. `id` names it and opens nothing.

    `level` is "half" while the second factor is still to be shown, and "full" then. `method` is how the sign-in began: "link",
    a provider's name, "invitation" or "token". `verified_at` is when its person last showed who they are.
    """

    id: str
    account: Account
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    level: str = "full"
    method: str = "link"
    verified_at: datetime | None = None
    next: str = "/"
    address: str = ""
    agent: str = ""
    scopes: frozenset[str] = frozenset()  # of an API token
