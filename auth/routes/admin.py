"""For admins: people, invitations, the audit log."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Forget, Pages


def admin_routes(auth: Auth, pages: Pages, forget: Forget) -> list[Route]:
    """Routes of the admin pages."""
    return []
