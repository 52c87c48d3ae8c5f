"""The sign-in pages, as data: `auth_routes(...)` is given what it needs and returns the routes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from auth.flows import SignIn, Stage, pending, safe_next
from auth.links import Links
from auth.middleware import Cookie
from auth.sessions import Account, Session, Sessions

log = logging.getLogger("portico.auth")

OWNER = Account("owner", "Owner", "admin")
NEW_LINK_EVERY_S = 5.0
MAX_FORM_BYTES = 10_000

Render = Callable[..., str]
PrintLink = Callable[[], None]


def auth_routes(
    sessions: Sessions,
    links: Links,
    cookie: Cookie,
    render: Render,
    print_link: PrintLink,
    stages: Sequence[Stage] = (),
    clock: Callable[[], float] = time.monotonic,
) -> list[Route]:
    """Routes under /auth. `render(template, **values)` makes a page; `print_link()` shows a fresh link in the terminal."""
    last_printed = [-NEW_LINK_EVERY_S]

    def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
        return HTMLResponse(render(template, **values), status)

    async def sign_in(request: Request) -> Response:
        if request.scope.get("user"):
            return RedirectResponse(safe_next(request.query_params.get("next", "/")), 303)
        return page("sign_in.html", printed="printed" in request.query_params)

    async def new_link(request: Request) -> Response:
        if not from_loopback(request):
            return page("sign_in.html", 403, error="A new link is printed only at the request of this machine's own browser.")
        if clock() - last_printed[0] >= NEW_LINK_EVERY_S:  # a page that asks in a loop must not flood the terminal
            last_printed[0] = clock()
            print_link()
        return RedirectResponse("/auth/sign-in?printed", 303)

    async def link(request: Request) -> Response:
        return page("link.html")

    async def use_link(request: Request) -> Response:
        form = await small_form(request)
        if not from_loopback(request) or not links.use(form.get("token", "")):
            log.warning("a sign-in link was refused, from %s", _peer(request))
            return page("link.html", 403, error="This link was used already, has expired, or is not complete.")
        asked = SignIn(OWNER, "link", safe_next(form.get("next", "/")))
        return pending(stages, asked) or open_session(request, asked)

    def open_session(request: Request, signed_in: SignIn) -> Response:
        if isinstance(old := request.scope.get("user"), Session):
            sessions.revoke(old.id)  # a new sign-in is a new session; the one before it ends
        response = RedirectResponse(signed_in.next, 303)
        cookie.set(response, sessions.create(signed_in.account))
        log.info("%s signed in by %s, from %s", signed_in.account.id, signed_in.method, _peer(request))
        return response

    async def sign_out(request: Request) -> Response:
        session: Session = request.scope["user"]
        response = RedirectResponse("/auth/sign-in", 303)
        cookie.clear(response)
        sessions.revoke(session.id)
        log.info("%s signed out", session.account.id)
        return response

    return [
        Route("/auth/sign-in", sign_in),
        Route("/auth/sign-in", new_link, methods=["POST"]),
        Route("/auth/link", link),
        Route("/auth/link", use_link, methods=["POST"]),
        Route("/auth/sign-out", sign_out, methods=["POST"]),
    ]


async def small_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; none if it is larger than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode("utf-8", errors="replace")))


def from_loopback(request: Request) -> bool:
    """Whether the peer is this machine itself. The socket's address counts, never a header."""
    try:
        return ip_address(_peer(request)).is_loopback
    except ValueError:
        return False


def _peer(request: Request) -> str:
    return request.client.host if request.client else "unknown"
