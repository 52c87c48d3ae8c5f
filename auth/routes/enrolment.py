"""Setting up an authenticator app, its recovery codes, and taking it off again."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.parts import Auth
from auth.routes.common import Pages, small_form
from auth.routes.step_up import TWO_FACTOR, destination, factors_changed, failed, locked, needs_factor, seconds_left, step_up
from auth.sessions import Session
from auth.totp import ISSUER

SET_UP = "/auth/two-factor/set-up"
CODES = "/auth/two-factor/recovery-codes"
USED = "/auth/two-factor/recovery-code-used"
ACCOUNT = "/auth/account"

WRONG = (
    "That code is not right. Type the six digits that your app shows now for this entry. If they are refused again, look whether "
    "the clock of your phone is set automatically."
)
LAST_FACTOR = (
    "This is your only second factor, and your account needs one. Add a passkey first, or set up another authenticator app "
    "in place of this one."
)


def enrolment_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of setting up, of the recovery codes, and of removing."""

    def refusal(request: Request, back: str, half_may: bool = False) -> Response | None:
        """What stands between this session and its person's factors, or None. `back` is where to go on when that is done.

        A half session may set up the first factor, and nothing else: it has shown none yet.
        """
        session: Session = request.scope["session"]
        if session.account.role == "guest":
            return pages.refuse(request, 403, "Guests need no second factor: the link lets you in as long as it lasts.")
        if session.level == "full":
            return pages.ask_anew(request, back)
        if half_may and not auth.factors.enrolled(session.account.id):
            return None
        return RedirectResponse(TWO_FACTOR, 303)

    def set_up_page(request: Request, target: str, status: int = 200, error: str = "") -> Response:
        session: Session = request.scope["session"]
        person = auth.people.find(session.account.id)
        name = (person.email if person else "") or session.account.name
        enrolment = auth.totp.begin(session.account.id, name, issuer(auth.site.public), session.id)
        return pages.page(
            request, "two_factor_set_up.html", status, error=error, next=target, uri=enrolment.uri, qr=qr_code(enrolment.uri),
            secret=" ".join(enrolment.secret[at : at + 4] for at in range(0, len(enrolment.secret), 4)),
            half=session.level == "half", replaces=auth.totp.has(session.account.id),
            passkey=auth.passkeys.possible(pages.origin(request)), seconds=seconds_left(auth, session),
        )  # fmt: skip

    async def set_up(request: Request) -> Response:
        target = destination(request.scope["session"], request.query_params.get("next", ACCOUNT))
        if stop := refusal(request, with_next(SET_UP, target), half_may=True):
            return stop
        return locked(auth, pages, request) or set_up_page(request, target)

    async def confirm(request: Request) -> Response:
        form = await small_form(request)
        session: Session = request.scope["session"]
        user, target = session.account.id, destination(session, form.get("next", ACCOUNT))
        if stop := refusal(request, with_next(SET_UP, target), half_may=True) or locked(auth, pages, request):
            return stop
        if not auth.totp.is_pending(user, session.id):  # the answer was loaded again, or the page is older than its secret
            return RedirectResponse(with_next(CODES if auth.totp.has(user) else SET_UP, target), 303)
        first = not auth.factors.enrolled(user)
        if not auth.totp.confirm(user, form.get("code", ""), session.id):
            end = locked(auth, pages, request, ended=True) if failed(auth, pages, request, "totp") else None
            return end or set_up_page(request, target, 403, WRONG)
        factors_changed(auth, session)
        pages.record(request, "totp-added")
        response = new_codes(request, target) if first or not auth.recovery.left(user) else RedirectResponse(target, 303)
        step_up(auth, pages, request, response, "totp")
        return response

    def new_codes(request: Request, target: str) -> Response:
        """Ten codes, in an answer to a POST that no cache keeps: shown once, and nowhere stored but as hashes."""
        session: Session = request.scope["session"]
        codes = auth.recovery.make(session.account.id)
        pages.record(request, "recovery-codes-made")
        return pages.page(request, "two_factor_codes.html", codes=codes, next=target, host=urlsplit(auth.site.public).netloc)

    async def about_codes(request: Request) -> Response:
        target = destination(request.scope["session"], request.query_params.get("next", ACCOUNT))
        if stop := refusal(request, with_next(CODES, target)):
            return stop
        user = request.scope["session"].account.id
        if not auth.factors.enrolled(user):
            return RedirectResponse(with_next(SET_UP, target), 303)
        return pages.page(request, "two_factor_recovery.html", next=target, left=auth.recovery.left(user))

    async def make_codes(request: Request) -> Response:
        form = await small_form(request)
        target = destination(request.scope["session"], form.get("next", ACCOUNT))
        if stop := refusal(request, with_next(CODES, target)):
            return stop
        if not auth.factors.enrolled(request.scope["session"].account.id):
            return RedirectResponse(with_next(SET_UP, target), 303)
        return new_codes(request, target)

    async def code_used(request: Request) -> Response:
        session: Session = request.scope["session"]
        if session.level == "half":
            return RedirectResponse(TWO_FACTOR, 303)
        target = destination(session, request.query_params.get("next", "/"))
        return pages.page(request, "two_factor_code_used.html", next=target, left=auth.recovery.left(session.account.id))

    async def remove(request: Request) -> Response:
        if stop := refusal(request, ACCOUNT):
            return stop
        session: Session = request.scope["session"]
        user = session.account.id
        if not auth.totp.has(user):
            return RedirectResponse(ACCOUNT, 303)
        if needs_factor(auth, session.account, session.method) and not auth.passkeys.all(user):
            return pages.refuse(request, 409, LAST_FACTOR)
        auth.totp.remove(user)
        factors_changed(auth, session)
        pages.record(request, "totp-removed")
        return RedirectResponse(ACCOUNT, 303)

    return [
        Route(SET_UP, set_up),
        Route(SET_UP, confirm, methods=["POST"]),
        Route(CODES, about_codes),
        Route(CODES, make_codes, methods=["POST"]),
        Route(USED, code_used),
        Route("/auth/two-factor/remove", remove, methods=["POST"]),
    ]


def with_next(path: str, target: str) -> str:
    return f"{path}?next={quote(target, safe='')}"


def issuer(public: str) -> str:
    """How the app names the entry: by the site as well, since one may use several. A colon would end the name there."""
    return f"{ISSUER} ({urlsplit(public).hostname})"


def qr_code(text: str) -> str:
    """`text` as an inline SVG: dark on white with its quiet zone, whatever the page's colours are, else phones do not read it."""
    import segno  # a fifth of a second, which the start would wait for

    return segno.make(text, error="m", micro=False).svg_inline(omitsize=True, border=4, dark="#000", light="#fff")
