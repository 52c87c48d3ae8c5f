"""API tokens on the account page: made with a fresh factor, shown once, revoked at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.parts import Auth
from auth.routes.account_guests import refuse_guest
from auth.routes.common import Pages, session_of, small_form
from auth.tokens import SCOPES, NotMade
from auth.words import coming

DAYS = (7, 30, 90, 365)
DEFAULT_DAYS = 30
NEW = "/auth/account/tokens/new"


def token_routes(auth: Auth, pages: Pages) -> list[Route]:
    """The form for a new token, what it posts, and revoking one."""

    def form_page(request: Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200) -> Response:
        values = {"name": typed.get("name", ""), "days": _days(typed), "scopes": _scopes(typed)}
        shown = {"form": "", "name": "", "scopes": "", **errors}
        return pages.page(
            request, "account_token_new.html", status, here="account", typed=values, failed=bool(errors), errors=shown,
            all_scopes=SCOPES, all_days=DAYS,
        )  # fmt: skip

    async def new_token(request: Request) -> Response:
        typed = dict(request.query_params)  # there if the factor was asked for between the form and its answer
        refused = refuse_guest(pages, request) or pages.ask_anew(request, _again(typed))
        return refused or form_page(request, typed or {f"scope-{one}": "on" for one in SCOPES}, {})

    async def make_token(request: Request) -> Response:
        typed = await small_form(request)
        if refused := refuse_guest(pages, request) or pages.ask_anew(request, _again(typed)):
            return refused
        name, scopes = typed.get("name", "").strip(), _scopes(typed)
        if errors := _errors(name, scopes):
            return form_page(request, typed, errors, 422)
        try:
            ends = auth.clock() + timedelta(days=_days(typed))
            token, text = auth.tokens.make(session_of(request).account, name, scopes, ends)
        except NotMade as error:
            return form_page(request, typed, {"form": str(error)}, 422)
        pages.record(request, "token-made", subject_id=token.id, name=name, scopes=" ".join(scopes))
        return pages.page(
            request, "account_token.html", here="account", name=name, text=text, ends=coming(token.expires_at, auth.clock())
        )

    async def revoke_token(request: Request) -> Response:
        token_id = request.path_params["id"]
        if auth.tokens.revoke(session_of(request).account.id, token_id):
            pages.record(request, "token-revoked", subject_id=token_id)
        return RedirectResponse("/auth/account?done=token-revoked#tokens", 303)

    return [
        Route(NEW, new_token),
        Route("/auth/account/tokens", make_token, methods=["POST"]),
        Route("/auth/account/tokens/{id}/revoke", revoke_token, methods=["POST"]),
    ]


def _again(typed: Mapping[str, str]) -> str:
    """The form's address with what was typed: nothing of it is secret, and none of it may be lost on the way to the factor."""
    kept = {"name": typed.get("name", "")[:100], "days": str(_days(typed))} | {f"scope-{one}": "on" for one in _scopes(typed)}
    return NEW + ("?" + urlencode(kept) if typed else "")


def _days(typed: Mapping[str, str]) -> int:
    return next((days for days in DAYS if str(days) == typed.get("days")), DEFAULT_DAYS)


def _scopes(typed: Mapping[str, str]) -> list[str]:
    return [scope for scope in SCOPES if f"scope-{scope}" in typed]


def _errors(name: str, scopes: list[str]) -> dict[str, str]:
    """What to change, by field; auth/tokens.py holds the rest of the rules."""
    errors = {}
    if not name:
        errors["name"] = "Give the token a name, such as what will use it."
    if not scopes:
        errors["scopes"] = "Choose at least one thing that the token may do."
    return errors
