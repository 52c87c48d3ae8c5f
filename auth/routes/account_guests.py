"""Guests have no account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from auth.routes.common import Pages, session_of


def refuse_guest(pages: Pages, request: Request) -> Response | None:
    """A friendly refusal if it is a guest who asks, else None: nothing of theirs is to be looked after."""
    if session_of(request).account.role != "guest":
        return None
    message = "You are here as a guest, so there is no account to look after. All that is yours goes when your link ends."
    return pages.refuse(request, 403, message)
