"""Passkeys in the browser: using one as the second factor, adding one, renaming and removing them."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from auth.factors import UNTIL_RESET
from auth.parts import Auth
from auth.passkeys import MOST, Passkeys, clean_name
from auth.routes.common import Pages, small_form
from auth.routes.enrolment import ACCOUNT, CODES, with_next
from auth.routes.step_up import TWO_FACTOR, destination, factors_changed, failed, locked, needs_factor, seconds_left, step_up
from auth.sessions import Session
from auth.site import Site
from auth.words import SYSTEMS, until

PASSKEY = "/auth/two-factor/passkey"

TOO_LATE = "That took too long, or was begun again in another tab. Try it once more."
NOT_TAKEN = "That passkey was not taken. Try again, or use another way."
NOT_ADDED = "That passkey could not be added. Try again; if it is refused once more, take another device or browser."
NOT_HERE = "Passkeys do not work at this address. Open this site by its name, or use another way."
FULL = f"You have {MOST} passkeys, and that is the most. Remove one that you no longer use."
LAST_FACTOR = (
    "This is your only second factor, and your account needs one. Add another passkey first, or set up an authenticator app."
)


def passkey_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes under /auth/two-factor/passkey."""
    return [*_using(auth, pages), *_adding(auth, pages), *_keeping(auth, pages)]


def address(site: Site, here: bool) -> str:
    """Where this site's passkeys work: at its public address, else by this machine's name for browsers that run `here`; or ""."""
    names = (site.public, f"http://localhost:{site.port}" if here else "")
    return next((name for name in names if Passkeys.possible(name)), "")


def _using(auth: Auth, pages: Pages) -> list[Route]:
    """On the way in, and when asked anew. The page's script speaks with these, so they answer in JSON."""

    def refusal(request: Request) -> Response | None:
        session: Session = request.scope["session"]
        if (end := auth.factors.locked_until(session.account.id)) is not None:
            when = f"Try again {until(end, auth.clock())}." if end < UNTIL_RESET else "Ask an administrator to reset them."
            return _say(429, f"Too many wrong second factors were given. {when}")
        if not auth.passkeys.possible(pages.origin(request)):
            return _say(409, NOT_HERE)
        return None if auth.passkeys.all(session.account.id) else _say(409, "There is no passkey on this account.")

    async def options(request: Request) -> Response:
        session: Session = request.scope["session"]
        if stop := refusal(request):
            return stop
        # In a thread: at its first use it imports what takes a while.
        text, challenge = await asyncio.to_thread(auth.passkeys.authentication, session.account.id, pages.origin(request))
        auth.sessions.set_challenge(session, challenge)
        return Response(text, media_type="application/json")

    async def use(request: Request) -> Response:
        form = await small_form(request)
        session: Session = request.scope["session"]
        if stop := refusal(request):
            return stop
        challenge = auth.sessions.take_challenge(session)
        if challenge is None:
            return _say(409, TOO_LATE)
        if not auth.passkeys.check(session.account.id, form.get("answer", ""), challenge, pages.origin(request)):
            if not failed(auth, pages, request, "passkey"):
                return _say(403, NOT_TAKEN)
            response = refusal(request) or _say(403, NOT_TAKEN)
            pages.cookie(request).clear(response)
            return response
        response = JSONResponse({"next": destination(session, form.get("next", "/"))})
        step_up(auth, pages, request, response, "passkey", remember="remember" in form)
        return response

    return [
        Route(f"{PASSKEY}/options", options, methods=["POST"]),
        Route(PASSKEY, use, methods=["POST"]),
    ]


def _adding(auth: Auth, pages: Pages) -> list[Route]:
    """The first factor of a half session, or one more of a fresh full one. A half session that has shown none adds none."""

    def refusal(request: Request, target: str) -> Response | None:
        session: Session = request.scope["session"]
        if session.account.role == "guest":
            return pages.refuse(request, 403, "Guests need no passkey: the link lets you in as long as it lasts.")
        if session.level == "full" and (stop := pages.ask_anew(request, with_next(PASSKEY, target))):
            return stop
        if session.level != "full" and auth.factors.enrolled(session.account.id):
            return RedirectResponse(TWO_FACTOR, 303)
        return locked(auth, pages, request)

    def add_page(request: Request, target: str, status: int = 200, error: str = "", name: str = "") -> Response:
        session: Session = request.scope["session"]
        known = auth.passkeys.all(session.account.id)
        return pages.page(
            request, "passkey_add.html", status, error=error, next=target, name=name or _default_name(request), known=known,
            full=FULL if len(known) >= MOST else "", possible=auth.passkeys.possible(pages.origin(request)),
            address=address(auth.site, request.scope["on_this_machine"]), half=session.level == "half",
            enrolled=auth.factors.enrolled(session.account.id), seconds=seconds_left(auth, session),
        )  # fmt: skip

    async def show(request: Request) -> Response:
        target = destination(request.scope["session"], request.query_params.get("next", ACCOUNT))
        return refusal(request, target) or add_page(request, target)

    async def options(request: Request) -> Response:
        session: Session = request.scope["session"]
        if stop := refusal(request, ACCOUNT):
            return _say(403, "Show first that it is you.", stop.headers.get("location", PASSKEY))
        if not auth.passkeys.possible(pages.origin(request)):
            return _say(409, NOT_HERE)
        name, origin = _account_name(auth, session), pages.origin(request)
        text, challenge = await asyncio.to_thread(auth.passkeys.registration, session.account.id, name, origin)
        auth.sessions.set_challenge(session, challenge)
        return Response(text, media_type="application/json")

    async def add(request: Request) -> Response:
        form = await small_form(request)
        session: Session = request.scope["session"]
        user, target = session.account.id, destination(session, form.get("next", ACCOUNT))
        if stop := refusal(request, target):
            return stop
        name, origin = clean_name(form.get("name", "")), pages.origin(request)
        first, challenge = not auth.factors.enrolled(user), auth.sessions.take_challenge(session)
        if challenge is None:
            return add_page(request, target, 409, TOO_LATE, name)
        if not auth.passkeys.register(user, name, form.get("answer", ""), challenge, origin):
            return add_page(request, target, 400, NOT_ADDED, name)
        factors_changed(auth, session)
        pages.record(request, "passkey-added", name=name)
        onward = with_next(CODES, target) if first or not auth.recovery.left(user) else target
        response = RedirectResponse(onward, 303)
        step_up(auth, pages, request, response, "passkey")
        return response

    return [
        Route(PASSKEY, show),
        Route(f"{PASSKEY}/new/options", options, methods=["POST"]),
        Route(f"{PASSKEY}/new", add, methods=["POST"]),
    ]


def _keeping(auth: Auth, pages: Pages) -> list[Route]:
    """What the list on the account page posts."""

    def refusal(request: Request) -> Response | None:
        session: Session = request.scope["session"]
        return pages.ask_anew(request, ACCOUNT) if session.level == "full" else RedirectResponse(TWO_FACTOR, 303)

    async def rename(request: Request) -> Response:
        form = await small_form(request)
        session: Session = request.scope["session"]
        if stop := refusal(request):
            return stop
        auth.passkeys.rename(session.account.id, request.path_params["id"], form.get("name", ""))
        return RedirectResponse(f"{ACCOUNT}?done=passkey-renamed#two-step", 303)

    async def remove(request: Request) -> Response:
        session: Session = request.scope["session"]
        if stop := refusal(request):
            return stop
        user, mine = session.account.id, {one.id: one for one in auth.passkeys.all(session.account.id)}
        removed = mine.get(request.path_params["id"])
        if removed is None:
            return RedirectResponse(f"{ACCOUNT}#two-step", 303)
        if len(mine) == 1 and not auth.totp.has(user) and needs_factor(auth, session.account, session.method):
            return pages.refuse(request, 409, LAST_FACTOR)
        auth.passkeys.remove(user, removed.id)
        factors_changed(auth, session)
        pages.record(request, "passkey-removed", name=removed.name)
        return RedirectResponse(f"{ACCOUNT}?done=passkey-removed#two-step", 303)

    return [
        Route(f"{PASSKEY}/{{id}}/rename", rename, methods=["POST"]),
        Route(f"{PASSKEY}/{{id}}/remove", remove, methods=["POST"]),
    ]


def _say(status: int, sentence: str, onward: str = "") -> JSONResponse:
    """For the page's script: it shows the sentence, or goes `onward`."""
    return JSONResponse({"error": sentence, "next": onward}, status)


def _account_name(auth: Auth, session: Session) -> str:
    """What the device calls the account, so that one tells several apart."""
    person = auth.people.find(session.account.id)
    return (person.email if person else "") or f"{session.account.name} ({urlsplit(auth.site.public).hostname})"


def _default_name(request: Request) -> str:
    agent = request.headers.get("user-agent", "")
    system = next((name for sign, name in SYSTEMS if sign in agent), "")
    return f"Passkey on {system}" if system else "Passkey"
