"""What all second factors share: what follows on a right one and on a wrong one, be it a code, a passkey or a recovery code."""

from __future__ import annotations

import shlex
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from auth.browsers import REMEMBERED
from auth.factors import UNTIL_RESET
from auth.flows import safe_next
from auth.parts import Auth
from auth.people import OWNER
from auth.routes.common import Pages
from auth.sessions import Account, Session
from auth.words import until

TWO_FACTOR = "/auth/two-factor"


def needs_factor(auth: Auth, account: Account, method: str) -> bool:
    """Whether this account must have a second factor: by `method` it signs in, a provider's name or "link"."""
    return account.role != "guest" and (method != "link" or auth.options.link_needs_second_factor)


def destination(session: Session, asked: str = "/") -> str:
    """Where to go on after a right factor: a half session knows it from its sign-in, a full one `asked` for it."""
    half = session.level == "half"
    target = safe_next(session.next if half else asked)
    # Not to the page that asks for the factor, and on the way in to none of its neighbours: to where those would lead.
    while (path := urlsplit(target).path) == TWO_FACTOR or (half and path.startswith(TWO_FACTOR + "/")):
        target = safe_next(dict(parse_qsl(urlsplit(target).query)).get("next", "/"))
    return target


def complete(auth: Auth, pages: Pages, request: Request, method: str, remember: bool, target: str) -> Response:
    """A right factor was shown: the session steps up and its browser goes on to `target`, a path of this site.

    `method` ("totp", "recovery", "passkey") is for the log; `remember` counts on the way in alone.
    """
    response = RedirectResponse(safe_next(target), 303)
    step_up(auth, pages, request, response, method, remember)
    return response


def step_up(auth: Auth, pages: Pages, request: Request, response: Response, method: str, remember: bool = False) -> None:
    """As `complete`, with a response of one's own, which is given the cookies."""
    session: Session = request.scope["session"]
    auth.factors.succeeded(session.account.id)
    token = auth.sessions.step_up(session)
    if token is None:  # another tab was first, and its cookie is good here too; or the session ended, which the guard will say
        return
    pages.cookie(request).set(response, token)
    pages.record(request, "second-factor", method=method)
    if session.level == "half":
        pages.record(request, "sign-in", method=session.method)
        if remember:
            kept = auth.browsers.remember(session.account.id, request.headers.get("user-agent", ""))
            pages.cookie(request, "browser").set(response, kept, int(REMEMBERED.total_seconds()))
            pages.record(request, "browser-remembered")


def failed(auth: Auth, pages: Pages, request: Request, method: str) -> bool:
    """Count a wrong factor. True if it was one too many: then the account is locked and the session has ended."""
    session: Session = request.scope["session"]
    pages.record(request, "second-factor-failed", method=method)
    if not auth.factors.failed(session.account.id):
        return False
    auth.sessions.revoke(session.id)
    pages.record(request, "locked", method=method)
    return True


def locked(auth: Auth, pages: Pages, request: Request, ended: bool = False) -> Response | None:
    """The page that says so if the account is locked: no factor is looked at then, be it right or wrong.

    `ended`: the session has ended by that, so its cookie goes as well.
    """
    session: Session = request.scope["session"]
    if (end := auth.factors.locked_until(session.account.id)) is None:
        return None
    by_itself, account = end < UNTIL_RESET, session.account
    # An administrator may be the only one there is, so they are told how to help themselves.
    reset_name = _name_in_terminal(auth, account) if account.role == "admin" else ""
    response = pages.page(
        request, "two_factor_locked.html", 429, when=until(end, auth.clock()) if by_itself else "", ended=ended,
        half=session.level == "half", reset_name=reset_name,
    )  # fmt: skip
    if by_itself:
        response.headers["retry-after"] = str(int((end - auth.clock()).total_seconds()))
    if ended:
        pages.cookie(request).clear(response)
    return response


def _name_in_terminal(auth: Auth, account: Account) -> str:
    """What `app.py user reset-2fa` takes for this account, as a shell reads it."""
    person = auth.people.find(account.id)
    return shlex.quote((person.email if person and account.id != OWNER.id else "") or account.id)


def seconds_left(auth: Auth, session: Session) -> int:
    """How long a half session has left, for templates/two_factor_time.html."""
    return max(0, round(auth.sessions.ends_in(session)))


def factors_changed(auth: Auth, session: Session) -> None:
    """A changed factor voids its person's other sessions and remembered browsers: what they once showed counts no longer."""
    auth.sessions.revoke_all(session.account.id, but=session.id)
    auth.browsers.forget(session.account.id)
