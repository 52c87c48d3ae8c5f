"""Guests come in by a link, without an account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.flows import SignIn
from auth.invitations import Invitation
from auth.parts import Auth
from auth.routes.admin_common import plain
from auth.routes.common import Pages, small_form
from auth.sessions import Session

JOIN = "/auth/join"
LONGEST_NAME = 40
OVER = "This guest link does not work: it has ended, or it is not complete. Scan or open it once more, or ask for a new one."
FULL = "All places of this guest link are taken. Ask whoever showed it to you for another one."


def guest_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the guests' way in."""

    def page(request: Request, status: int = 200, error: str = "") -> Response:
        return pages.page(
            request, "join.html", status, error=error, longest=LONGEST_NAME, has_account=_has_account(request),
            over="over" in request.query_params,
        )  # fmt: skip

    async def show(request: Request) -> Response:
        return page(request)

    async def join(request: Request) -> Response:
        if _has_account(request):
            return page(request, 409)
        form = await small_form(request)
        invitation = auth.invitations.find(form.get("token", ""))
        if invitation is None:
            pages.record(request, "sign-in-refused", method="invitation")
            return page(request, 403, OVER)
        if _is_guest_of(request, invitation):
            return RedirectResponse("/", 303)
        seat = auth.invitations.take_seat(invitation.id)
        if not seat:
            pages.record(request, "sign-in-refused", method="invitation", subject_id=invitation.id, name=invitation.name)
            return page(request, 409, FULL)
        name = plain(form.get("name", ""), LONGEST_NAME) or f"Guest {seat}"
        account = auth.people.add_guest(name, invitation.id, invitation.quota)
        pages.record(request, "invitation-used", account.id, account.name, subject_id=invitation.id, name=invitation.name)
        return pages.open(SignIn(request, account, "invitation"), ends_at=invitation.expires_at)

    def _is_guest_of(request: Request, invitation: Invitation) -> bool:
        """A browser that is in already takes no second seat."""
        session: Session | None = request.scope["user"]
        person = auth.people.find(session.account.id) if session else None
        return person is not None and person.invitation_id == invitation.id

    return [Route(JOIN, show), Route(JOIN, join, methods=["POST"])]


def _has_account(request: Request) -> bool:
    session: Session | None = request.scope["user"]
    return session is not None and session.account.role != "guest"
