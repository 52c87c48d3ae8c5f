"""The pages under /auth, as data: `auth_routes(...)` is given what it needs and returns the routes."""

from __future__ import annotations

from starlette.routing import Route

from auth.parts import Auth
from auth.routes.account import account_routes
from auth.routes.admin import admin_routes
from auth.routes.admin_models import Models
from auth.routes.common import Export, Forget, Pages, Render
from auth.routes.guests import guest_routes
from auth.routes.oidc import oidc_routes
from auth.routes.passkeys import passkey_routes
from auth.routes.sign_in import PrintLink, sign_in_routes
from auth.routes.two_factor import SecondFactorStage, two_factor_routes

PUBLIC = ("/auth/sign-in", "/auth/link", "/auth/oidc/", "/auth/callback/", "/auth/join")  # without a session
HALF = ("/auth/two-factor", "/auth/two-factor/", "/auth/sign-out")  # before the second factor

__all__ = ["HALF", "PUBLIC", "auth_routes"]


def auth_routes(
    auth: Auth, render: Render, print_link: PrintLink, export: Export, forget: Forget, models: Models
) -> list[Route]:  # fmt: skip
    """Routes under /auth.

    `render(template, **values)` makes a page; `print_link()` shows a fresh link in the terminal; `export(user_id)` is what
    the server keeps of a person, as JSON values; `forget(user_id)` deletes that, when the account goes. `models` are those
    that are served, of which auth knows no more than that an admin may load and unload them.
    """
    pages = Pages(auth, render)
    pages.stages.append(SecondFactorStage(auth, pages))
    return [
        *sign_in_routes(auth, pages, print_link),
        *oidc_routes(auth, pages),
        *two_factor_routes(auth, pages),
        *passkey_routes(auth, pages),
        *account_routes(auth, pages, export),
        *admin_routes(auth, pages, forget, models),
        *guest_routes(auth, pages),
    ]
