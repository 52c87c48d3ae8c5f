"""One's own account: factors, devices, tokens, data."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Export, Pages


def account_routes(auth: Auth, pages: Pages, export: Export) -> list[Route]:
    """Routes of the account page."""
    return []
