"""The sign-in page, the terminal's link, and signing out."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.flows import SignIn, safe_next
from auth.parts import Auth
from auth.people import OWNER
from auth.routes.common import Pages, small_form
from auth.sessions import Session

NEW_LINK_EVERY_S = 5.0
ASKING = ("/auth/two-factor", "/auth/two-factor/set-up")  # where a sign-in waits for its second factor

PrintLink = Callable[[], None]


def sign_in_routes(auth: Auth, pages: Pages, print_link: PrintLink, clock: Callable[[], float] = time.monotonic) -> list[Route]:
    """Routes of the sign-in page, the link and sign-out."""
    last_printed = [-NEW_LINK_EVERY_S]

    def sign_in_page(request: Request, status: int = 200, error: str = "") -> Response:
        target = safe_next(request.query_params.get("next", "/"))
        # A browser that sends no session never began to sign in, whatever address it was opened at.
        too_late = bool(request.scope["our_cookies"].get("")) and urlsplit(target).path in ASKING
        return pages.page(
            request, "sign_in.html", status, error=error, printed="printed" in request.query_params,
            again="again" in request.query_params, next=target, too_late=too_late,
            providers=[provider.settings for provider in auth.providers.values()], here=request.scope["on_this_machine"],
        )  # fmt: skip

    async def sign_in(request: Request) -> Response:
        if request.scope["user"] and "again" not in request.query_params:
            return RedirectResponse(safe_next(request.query_params.get("next", "/")), 303)
        return sign_in_page(request)

    async def new_link(request: Request) -> Response:
        if not request.scope["on_this_machine"]:
            return sign_in_page(request, 403, "A new link is printed only at the request of this machine's own browser.")
        if clock() - last_printed[0] >= NEW_LINK_EVERY_S:  # a page that asks in a loop must not flood the terminal
            last_printed[0] = clock()
            print_link()
        return RedirectResponse("/auth/sign-in?printed" + ("&again" if "again" in request.query_params else ""), 303)

    def link_page(request: Request, status: int = 200, error: str = "") -> Response:
        here = request.scope["on_this_machine"]
        return pages.page(request, "link.html", status, error=error, here=here, port=auth.site.port)

    async def link(request: Request) -> Response:
        return link_page(request)

    async def use_link(request: Request) -> Response:
        form = await small_form(request)
        if not request.scope["on_this_machine"] or not auth.links.use(form.get("token", "")):
            pages.record(request, "sign-in-refused", method="link")
            return link_page(request, 403, "This link was used already, has expired, or is not complete.")
        return pages.admit(SignIn(request, OWNER, "link", safe_next(form.get("next", "/"))))

    async def sign_out(request: Request) -> Response:
        session: Session = request.scope["session"]
        response = RedirectResponse("/auth/sign-in", 303)
        pages.cookie(request).clear(response)
        auth.sessions.revoke(session.id)
        pages.record(request, "sign-out")
        return response

    return [
        Route("/auth/sign-in", sign_in),
        Route("/auth/sign-in", new_link, methods=["POST"]),
        Route("/auth/link", link),
        Route("/auth/link", use_link, methods=["POST"]),
        Route("/auth/sign-out", sign_out, methods=["POST"]),
    ]
