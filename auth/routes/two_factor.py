"""The second factor on the way in, and asking for it anew. Setting it up is in enrolment.py, passkeys are in passkeys.py."""

from __future__ import annotations

import logging
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.flows import SignIn, safe_next
from auth.keys import SecretError
from auth.parts import Auth
from auth.routes.common import Pages, small_form
from auth.routes.enrolment import SET_UP, USED, enrolment_routes
from auth.routes.passkeys import address
from auth.routes.step_up import TWO_FACTOR, complete, destination, failed, locked, needs_factor, seconds_left
from auth.sessions import Session

log = logging.getLogger("portico.auth")

# One sentence for a wrong code and for one that was used already: which of the two it was is nobody's business (CHECKLIST 24).
WRONG = {
    "totp": "That code is not right, or it was used already. Wait for the next one in your app, and type that.",
    "recovery": "That recovery code is not right, or it was used already. Try another one of your list.",
}
UNREADABLE = (
    "This server can no longer read the key of your authenticator app, because its own secret was changed. Use a recovery code, "
    "or ask whoever runs the server to list the old secret after the new one."
)


class SecondFactorStage:
    """Asks for a second factor where one is required or set up, unless the browser is remembered."""

    def __init__(self, auth: Auth, pages: Pages) -> None:
        self._auth, self._pages = auth, pages

    def next(self, sign_in: SignIn) -> Response | None:
        account, request = sign_in.account, sign_in.request
        enrolled = self._auth.factors.enrolled(account.id)
        if account.role == "guest" or not (enrolled or needs_factor(self._auth, account, sign_in.method)):
            return None
        # No guess at a code is made here, so the account's lock is no matter: its owner's own browser stays open to them.
        if enrolled and self._auth.browsers.knows(account.id, request.scope["our_cookies"].get("browser", "")):
            self._pages.record(request, "second-factor", account.id, account.name, method="browser")
            return self._pages.open(sign_in, verified=False)
        session: Session | None = request.scope["user"]
        if enrolled and session and session.account.id == account.id:  # a half session in its place would end what it holds open
            return RedirectResponse(f"{TWO_FACTOR}?next={quote(safe_next(sign_in.next), safe='')}", 303)
        return self._pages.open(sign_in, "half")


def two_factor_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the second factor."""

    def ask(request: Request, target: str, method: str, status: int = 200, error: str = "", remember: bool = False) -> Response:
        session: Session = request.scope["session"]
        user, half = session.account.id, session.level == "half"
        passkeys, possible = bool(auth.passkeys.all(user)), auth.passkeys.possible(pages.origin(request))
        elsewhere = address(auth.site, request.scope["on_this_machine"]) if passkeys and not possible else ""
        return pages.page(
            request, "two_factor.html", status, error=error, next=target, method=method, half=half, remember=remember,
            has_app=auth.totp.has(user), has_codes=auth.recovery.left(user) > 0, passkey=passkeys and possible,
            passkey_at=elsewhere, seconds=seconds_left(auth, session),
        )  # fmt: skip

    def is_asked_nothing(session: Session) -> bool:
        """A guest, or someone who showed it just now: the way back led here, or another tab was first."""
        return session.account.role == "guest" or (session.level == "full" and auth.sessions.is_fresh(session))

    async def show(request: Request) -> Response:
        session: Session = request.scope["session"]
        target = destination(session, request.query_params.get("next", "/"))
        if is_asked_nothing(session):
            return RedirectResponse(target, 303)
        if not auth.factors.enrolled(session.account.id):
            return RedirectResponse(f"{SET_UP}?next={quote(target, safe='')}", 303)
        method = "recovery" if request.query_params.get("method") == "recovery" else "totp"
        return locked(auth, pages, request) or ask(request, target, method, remember="remember" in request.query_params)

    def is_right(user_id: str, method: str, code: str) -> bool:
        return auth.recovery.use(user_id, code) if method == "recovery" else auth.totp.check(user_id, code)

    async def check(request: Request) -> Response:
        form = await small_form(request)
        # From here on nothing is awaited, so no other guess comes in between the look at the lock and the count.
        session: Session = request.scope["session"]
        target, remember = destination(session, form.get("next", "/")), "remember" in form
        if is_asked_nothing(session):
            return RedirectResponse(target, 303)
        if not auth.factors.enrolled(session.account.id):  # left-over recovery codes are no factor by themselves
            return RedirectResponse(f"{SET_UP}?next={quote(target, safe='')}", 303)
        if page := locked(auth, pages, request):
            return page
        method = "recovery" if form.get("method") == "recovery" else "totp"
        try:
            right = is_right(session.account.id, method, form.get("code", ""))
        except SecretError as error:
            log.error("%s: %s", session.account.id, error)
            return ask(request, target, method, 500, UNREADABLE, remember)
        if not right:
            end = locked(auth, pages, request, ended=True) if failed(auth, pages, request, method) else None
            return end or ask(request, target, method, 403, WRONG[method], remember)
        if method == "recovery":
            pages.record(request, "recovery-code-used", left=str(auth.recovery.left(session.account.id)))
            target = f"{USED}?next={quote(target, safe='')}"
        return complete(auth, pages, request, method, remember, target)

    return [
        Route(TWO_FACTOR, show),
        Route(TWO_FACTOR, check, methods=["POST"]),
        *enrolment_routes(auth, pages),
    ]
