"""The way to a provider and back."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Pages


def oidc_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the way out and the callback."""
    return []
