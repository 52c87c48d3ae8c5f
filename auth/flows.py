"""Sign-in as a list of stages: each may ask for something more (a second factor, say) before a full session is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from auth.sessions import Account

MAX_NEXT = 2000  # characters, as its column in the database


@dataclass(frozen=True, slots=True)
class SignIn:
    """Someone on the way in: who they are, how they showed it ("link", a provider's name), and where they wanted to go."""

    request: Request
    account: Account
    method: str
    next: str = "/"


class Stage(Protocol):
    """One condition of a sign-in."""

    def next(self, sign_in: SignIn) -> Response | None:
        """What the browser must do first, or None when this stage is content."""


def pending(stages: Sequence[Stage], sign_in: SignIn) -> Response | None:
    """The first thing that is still asked for, or None: then the session may open."""
    for stage in stages:
        if (response := stage.next(sign_in)) is not None:
            return response
    return None


def safe_next(target: str) -> str:
    """`target` if it is a path on this site, else "/".

    Browsers read a backslash as a slash and skip control characters, so neither may be in it, nor a space, nor what is no
    character at all and could not be sent.
    """
    if not target.startswith("/") or target.startswith("//") or "\\" in target or " " in target or not target.isprintable():
        return "/"
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc or len(target) > MAX_NEXT else target
