"""Guests come in by a link, without an account."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Pages


def guest_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the guests' way in."""
    return []
