"""What the pages under /auth share: rendering, forms, who asks, and the way in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from auth.audit import Origin
from auth.flows import SignIn, Stage, pending, safe_next
from auth.parts import Auth
from auth.people import OWNER
from auth.sessions import Session
from auth.site import Cookie
from auth.words import printable

log = logging.getLogger("portico.auth")

MAX_FORM_BYTES = 20_000

Render = Callable[..., str]
Export = Callable[[str], Mapping[str, Any]]
Forget = Callable[[str], None]
Handler = Callable[[Request], Any]


class Pages:
    """Renders pages and opens sessions."""

    def __init__(self, auth: Auth, render: Render, stages: Sequence[Stage] = ()) -> None:
        self._auth, self._render = auth, render
        self.stages = list(stages)  # what `admit` asks, in order

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """A page of portal/templates, which always knows `user` (the Account, or None) and `origin` (ours, at this Host)."""
        session: Session | None = request.scope.get("session")
        account = session.account if session else None
        return HTMLResponse(self._render(template, user=account, origin=self.origin(request), **values), status)

    def refuse(self, request: Request, status: int, message: str) -> HTMLResponse:
        """A page of one sentence, for what cannot be done."""
        return HTMLResponse(self._render("error.html", status=status, error=message), status)

    def origin(self, request: Request) -> str:
        """Our own origin as this browser sees it; the guard has checked its Host."""
        return self._auth.site.origin(request.headers["host"]) or self._auth.site.public

    def cookie(self, request: Request, kind: str = "") -> Cookie:
        return self._auth.site.cookie(request.headers["host"], kind)

    def admit(self, sign_in: SignIn) -> Response:
        """The first factor was shown: on to what is still asked for, or in."""
        return pending(self.stages, sign_in) or self.open(sign_in)

    def open(self, sign_in: SignIn, level: str = "full", **options: Any) -> Response:
        """Open a session and go on: in, or with `level` "half" to the second factor. The session before it ends."""
        request = sign_in.request
        old: Session | None = request.scope.get("session")
        target = safe_next(sign_in.next)
        options |= {"known": sign_in.account != OWNER}
        token = self._auth.sessions.create(sign_in.account, level, sign_in.method, target, origin_of(request), **options)
        response = RedirectResponse("/auth/two-factor" if level == "half" else target, 303)
        self.cookie(request).set(response, token)
        if old:
            self._auth.sessions.revoke(old.id)
        if level == "full":
            self.record(request, "sign-in", sign_in.account.id, sign_in.account.name, method=sign_in.method)
        return response

    def record(
        self, request: Request, event: str, actor_id: str = "", actor: str = "", subject_id: str = "", **details: str
    ) -> None:
        """An audit event by the one who asks, or by the one who is named; in the server's log as well."""
        session: Session | None = request.scope.get("session")
        if session and not actor_id:
            actor_id, actor = session.account.id, session.account.name
        origin = origin_of(request)
        self._auth.audit.record(event, actor_id, actor, origin, subject_id, **details)
        said = "".join(f" {name}={value}" for name, value in details.items())
        # A name that someone chose forges no line.
        log.info("%s: %s, from %s%s", event, actor_id or "nobody", origin.address, printable(said))

    def role_now(self, request: Request) -> str:
        """The role of who asks as it is in the database at this moment; "" if their account is closed or gone."""
        person = self._auth.people.find(session_of(request).account.id)
        return person.role if person and not person.disabled else ""

    def ask_anew(self, request: Request, back: str = "") -> Response | None:
        """What needs its person anew: None if they showed who they are within 15 minutes, else the way to do so and come back.

        `back` is a page (a GET) to return to; the one that is asked for by default.
        """
        session = session_of(request)
        if self._auth.sessions.is_fresh(session):
            return None
        target = back or (request.url.path if request.method == "GET" else "/auth/account")
        if self._auth.factors.enrolled(session.account.id):
            return RedirectResponse("/auth/two-factor?next=" + quote(target, safe=""), 303)
        return RedirectResponse("/auth/sign-in?again&next=" + quote(target, safe=""), 303)


def session_of(request: Request) -> Session:
    """The full session that asks; the guard lets nobody else in here."""
    session: Session = request.scope["user"]
    return session


def origin_of(request: Request) -> Origin:
    """From where a request comes, for the log and for the list of devices."""
    return Origin(request.scope.get("peer", ""), request.headers.get("user-agent", ""))


async def small_form(request: Request) -> dict[str, str]:
    """The fields of a posted form; none if it is larger than any of ours."""
    if hasattr(request.state, "form"):
        return dict(request.state.form)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            body = b""
            break
    request.state.form = dict(parse_qsl(body.decode("utf-8", errors="replace")))
    return dict(request.state.form)
