"""For admins: people, invitations, models, the audit log."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.admin_audit import audit_routes
from auth.routes.admin_invitations import invitation_routes
from auth.routes.admin_models import Models, model_routes
from auth.routes.admin_people import people_routes
from auth.routes.common import Forget, Pages


def admin_routes(auth: Auth, pages: Pages, forget: Forget, models: Models) -> list[Route]:
    """Routes of the admin pages."""
    return [
        *people_routes(auth, pages, forget), *invitation_routes(auth, pages, forget), *model_routes(pages, models),
        *audit_routes(auth, pages),
    ]  # fmt: skip
