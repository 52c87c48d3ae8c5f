"""One's own account: who one is, factors, devices, tokens, data. Here the page itself; what it changes is beside it."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.parts import Auth
from auth.recovery import HOW_MANY
from auth.routes.account_data import data_routes
from auth.routes.account_devices import device_routes
from auth.routes.account_guests import refuse_guest
from auth.routes.account_tokens import token_routes
from auth.routes.common import Export, Pages, session_of
from auth.sessions import Session
from auth.tokens import SCOPES
from auth.words import coming, device, past

FEW_CODES = 3  # left: then the page says that it is time for new ones

# What a change comes back with (?done=): the section that it is about, and what happened.
DONE = {
    "passkey-renamed": ("two-step", "The passkey has its new name."),
    "passkey-removed": ("two-step", "The passkey is removed. Your other devices were signed out."),
    "session-ended": ("devices", "That device is signed out."),
    "session-gone": ("devices", "That device was signed out already."),
    "sessions-ended": ("devices", "Every other device is signed out."),
    "browser-forgotten": ("browsers", "Forgotten: it will be asked for the second step again."),
    "browsers-forgotten": ("browsers", "All forgotten: each will be asked for the second step again."),
    "token-revoked": ("tokens", "That token opens nothing any more."),
}
ROLES = {"admin": "Administrator", "member": "Member"}


def account_routes(auth: Auth, pages: Pages, export: Export) -> list[Route]:
    """Routes of the account page."""

    def account(request: Request) -> Response:  # not async: it asks the database for much, and runs in a thread
        if refused := refuse_guest(pages, request):
            return refused
        session = session_of(request)
        section, message = DONE.get(request.query_params.get("done", ""), ("", ""))
        return pages.page(
            request, "account.html", here="account", notice={"section": section, "message": message}, session=session,
            method=method_title(auth, session.method), role=ROLES[session.account.role],
            **_words(auth.clock()), **_factors(auth, session.account.id, pages.origin(request)), **_lists(auth, session),
        )  # fmt: skip

    return [
        Route("/auth/account", account),
        *device_routes(auth, pages),
        *token_routes(auth, pages),
        *data_routes(auth, pages, export),
    ]


def method_title(auth: Auth, method: str) -> str:
    """How a session began, as the end of "Signed in ..."."""
    if method == "link":
        return "with the link from the terminal"
    provider = auth.providers.get(method)
    return f"with {provider.settings.title if provider else method}"


def _words(now: datetime) -> dict[str, Any]:
    return {"past": partial(past, now=now), "coming": partial(coming, now=now), "device": device, "now": now, "scopes": SCOPES}


def _factors(auth: Auth, user_id: str, origin: str) -> dict[str, Any]:
    return {
        "enrolled": auth.factors.enrolled(user_id), "has_app": auth.totp.has(user_id), "passkeys": auth.passkeys.all(user_id),
        "passkeys_possible": auth.passkeys.possible(origin), "codes_left": auth.recovery.left(user_id), "codes_made": HOW_MANY,
        "few_codes": FEW_CODES,
    }  # fmt: skip


def _lists(auth: Auth, session: Session) -> dict[str, Any]:
    user_id = session.account.id
    person, devices = auth.people.find(user_id), auth.sessions.of_user(user_id)
    return {
        "email": person.email if person else "",
        "devices": sorted(devices, key=lambda one: one.id != session.id),  # this one first
        "browsers": auth.browsers.all(user_id),
        "tokens": auth.tokens.all(user_id),
    }
