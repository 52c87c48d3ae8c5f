"""The second factor: showing it, setting it up, and asking for it anew."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from auth.flows import SignIn
from auth.parts import Auth
from auth.routes.common import Pages


class SecondFactorStage:
    """Asks for a second factor where one is required or set up, unless the browser is remembered."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def next(self, sign_in: SignIn) -> Response | None:
        return None


def two_factor_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the second factor."""
    return []
