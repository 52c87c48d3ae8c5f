"""The way to a provider and back."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.admission import CLOSED, Identity, NotAdmitted
from auth.flows import SignIn, safe_next
from auth.oidc import Provider
from auth.parts import Auth
from auth.provider_errors import ProviderError
from auth.routes.common import Pages
from auth.states import LIFETIME, Pending
from auth.store import new_token

log = logging.getLogger("portico.auth")

BROWSER = re.compile(r"[\w-]{43}", re.ASCII)  # what new_token() makes
PARAMETERS = ("state", "code", "iss", "error")

OVER = (
    "This sign-in was used already, took longer than ten minutes, or began in another browser. "
    "Start again here, and finish in this browser."
)


def oidc_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the way out and the callback."""

    async def begin(request: Request) -> Response:
        provider = auth.providers.get(request.path_params["provider"])
        if provider is None:
            return _no_such_provider(request, pages)
        target, anew = safe_next(request.query_params.get("next", "/")), "again" in request.query_params
        if request.headers["host"].lower() != auth.site.host:
            # The provider sends people back to the public address, and the cookie must be there when they come.
            return RedirectResponse(auth.site.public + _way_in(provider.settings.name, target, anew), 303)
        browser = request.scope["our_cookies"].get("oidc", "")
        browser = browser if BROWSER.fullmatch(browser) else new_token()  # one for all tabs
        try:
            await provider.metadata()  # before anything is written down for a provider that is away
            pending = auth.states.begin(provider.settings.name, browser, target, request.scope["peer"])
            url = await provider.authorization_url(pending, auth.people.only_domain(), anew)
        except ProviderError as error:
            return _sorry(request, pages, provider, error, target)
        response = RedirectResponse(url, 303)
        pages.cookie(request, "oidc").set(response, browser, max_age=int(LIFETIME.total_seconds()))
        return response

    async def callback(request: Request) -> Response:
        provider = auth.providers.get(request.path_params["provider"])
        if provider is None:
            return _no_such_provider(request, pages)
        # A parameter that comes twice is none: RFC 6749, 3.1.
        given = {name: request.query_params.getlist(name) for name in PARAMETERS}
        answer = {name: values[0] for name, values in given.items() if len(values) == 1}
        name, browser = provider.settings.name, request.scope["our_cookies"].get("oidc", "")
        pending = auth.states.take(answer.get("state", ""), name, browser) if browser else None
        if pending is None or any(len(values) > 1 for values in given.values()):
            log.warning("sign-in with %s: the callback's state is unknown, over, or another browser's", name)
            return _failed(request, pages, 400, OVER, again=f"/auth/oidc/{name}", label="Start again")
        return await finish(request, provider, answer, pending)

    async def finish(request: Request, provider: Provider, answer: dict[str, str], pending: Pending) -> Response:
        name = provider.settings.name
        try:
            identity = await provider.identity(answer, pending)
            admitted = auth.people.admit(identity)
        except ProviderError as error:
            pages.record(request, "sign-in-refused", method=name, reason=error.kind)
            return _sorry(request, pages, provider, error, pending.next)
        except NotAdmitted as error:
            record_refused(request, name, identity, str(error) == CLOSED)
            again = _way_in(name, pending.next, anew=True)
            return _failed(request, pages, 403, str(error), again, "Sign in with another account", pending.next)
        if admitted.invitation_id:
            account = admitted.account
            pages.record(request, "invitation-used", account.id, account.name, admitted.invitation_id, method=name)
        return pages.admit(SignIn(request, admitted.account, name, pending.next))

    def record_refused(request: Request, name: str, identity: Identity, closed: bool) -> None:
        """With their email, by which the log finds them; about their account, if it is closed."""
        known = (identity.issuer, identity.subject)
        shut_out = (one.id for one in auth.people.all() if closed and one.disabled and known in auth.people.identities(one.id))
        reason = "shut out" if closed else "not admitted"
        pages.record(request, "sign-in-refused", subject_id=next(shut_out, ""), method=name, reason=reason, email=identity.email)

    return [Route("/auth/oidc/{provider}", begin), Route("/auth/callback/{provider}", callback)]


def _way_in(name: str, target: str, anew: bool = False) -> str:
    return f"/auth/oidc/{name}?" + urlencode({"next": target} | ({"again": ""} if anew else {}))


def _no_such_provider(request: Request, pages: Pages) -> Response:
    return pages.refuse(request, 404, "There is no such way to sign in here.")


def _sorry(request: Request, pages: Pages, provider: Provider, error: ProviderError, target: str) -> Response:
    """What the person reads; why it was so stands in the log."""
    name, title = provider.settings.name, provider.settings.title
    log.warning("sign-in with %s: %s", name, error.reason)
    return _failed(request, pages, error.status, error.sentence.format(title=title), _way_in(name, target), "Try again", target)


def _failed(
    request: Request, pages: Pages, status: int, error: str, again: str, label: str, target: str = "/"
) -> Response:  # fmt: skip
    others = "/auth/sign-in?" + urlencode({"next": target})
    return pages.page(request, "sign_in_failed.html", status, error=error, again=again, label=label, others=others)
