"""One's own data, all of them, in one file."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth.parts import Auth
from auth.routes.account_guests import refuse_guest
from auth.routes.common import Export, Pages, session_of

PAGE = "/auth/account/export"


def data_routes(auth: Auth, pages: Pages, export: Export) -> list[Route]:
    """The page that offers the file (with a fresh factor, so that the download itself asks for nothing), and the file."""

    async def offer(request: Request) -> Response:
        refused = refuse_guest(pages, request) or pages.ask_anew(request)
        return refused or pages.page(request, "account_export.html", here="account")

    async def download(request: Request) -> Response:
        if refused := refuse_guest(pages, request) or pages.ask_anew(request, PAGE):
            return refused
        user_id = session_of(request).account.id
        values = await asyncio.to_thread(lambda: {**account_data(auth, user_id), **export(user_id)})
        pages.record(request, "exported")
        name = f"portico-{auth.clock():%Y-%m-%d}.json"
        text = json.dumps(values, indent=2, ensure_ascii=False)
        return Response(text, media_type="application/json", headers={"content-disposition": f'attachment; filename="{name}"'})

    return [Route(PAGE, offer), Route(PAGE, download, methods=["POST"])]


def account_data(auth: Auth, user_id: str) -> dict[str, Any]:
    """What auth keeps of a person, as JSON values: names, dates and places; never a token, a secret, a code or a hash of one."""
    person = auth.people.find(user_id)
    if person is None:
        return {}
    return {
        "account": {
            "id": user_id, "name": person.name, "email": person.email, "role": person.role, "created_at": _iso(person.created_at),
            "known_to_providers_as": [f"{subject} at {issuer}" for issuer, subject in auth.people.identities(user_id)],
        },
        "second_factors": _factors(auth, user_id),
        "sessions": [
            {
                "began_at": _iso(one.created_at), "last_used_at": _iso(one.seen_at), "ends_at": _iso(one.ends_at),
                "signed_in_with": one.method, "address": one.address, "browser": one.agent,
            }
            for one in auth.sessions.of_user(user_id)
        ],
        "remembered_browsers": [
            {"browser": one.agent, "since": _iso(one.created_at), "used_at": _iso(one.used_at), "ends_at": _iso(one.expires_at)}
            for one in auth.browsers.all(user_id)
        ],
        "api_tokens": [
            {
                "name": one.name, "may": list(one.scopes), "made_at": _iso(one.created_at), "ends_at": _iso(one.expires_at),
                "used_at": _iso(one.used_at),
            }
            for one in auth.tokens.all(user_id)
        ],
        "log": _log(auth, user_id),
    }  # fmt: skip


def _factors(auth: Auth, user_id: str) -> dict[str, Any]:
    passkeys = auth.passkeys.all(user_id)
    return {
        "authenticator_app": auth.totp.has(user_id),
        "passkeys": [{"name": one.name, "added_at": _iso(one.created_at), "used_at": _iso(one.used_at)} for one in passkeys],
        "recovery_codes_left": auth.recovery.left(user_id),
    }


def _log(auth: Auth, user_id: str) -> list[dict[str, Any]]:
    """What this person did; what others did to them names those others."""
    return [
        {"at": _iso(one.at), "event": one.event, "address": one.address, "browser": one.agent, "details": dict(one.details)}
        for one in auth.audit.entries(person=user_id, limit=None)
        if one.actor_id == user_id
    ]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
