"""Invitations, for admins: a person by email, an audience by a link that is also shown as a QR code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.guests import sweep
from auth.invitations import MOST_DAYS, MOST_QUESTIONS, MOST_SEATS, Invitation, NotInvited
from auth.parts import Auth
from auth.routes.admin_common import for_admins, number, plain, with_query
from auth.routes.common import Forget, Pages, session_of, small_form
from auth.routes.enrolment import qr_code
from auth.site import is_loopback_url
from auth.words import When, coming, past

INVITATIONS = "/auth/admin/invitations"
LIFETIMES = {  # of a link: its name in the form, what it is called, how long it is
    "hour": ("1 hour", timedelta(hours=1)), "hours": ("4 hours", timedelta(hours=4)),
    "day": ("a day", timedelta(days=1)), "week": ("a week", timedelta(days=7)),
}  # fmt: skip
DEFAULTS = {"email": "", "role": "member", "days": "7", "name": "", "seats": "30", "quota": "", "lifetime": "hours"}
FIELDS = {name: 320 if name == "email" else 100 for name in DEFAULTS}


@dataclass(frozen=True, slots=True)
class Row:
    """An invitation in the list, with its state (auth/invitations.py) and when it ends or ended."""

    invitation: Invitation
    state: str
    ends: When

    @property
    def is_over(self) -> bool:
        return self.state in ("used", "expired", "revoked")


def invitation_routes(auth: Auth, pages: Pages, forget: Forget) -> list[Route]:
    """Routes of the invitations."""

    def listing(request: Request, typed: Mapping[str, str], refused: NotInvited | None = None, status: int = 200) -> Response:
        rows = [_row(auth, one) for one in auth.invitations.all()]
        invited = auth.invitations.get(plain(request.query_params.get("invited", "")))
        return pages.page(
            request, "admin_invitations.html", status, here="admin", tab="invitations", error=str(refused or ""),
            field=refused.field if refused else "", typed={**DEFAULTS, **typed}, lifetimes=LIFETIMES, most_days=MOST_DAYS,
            most_seats=MOST_SEATS, most_questions=MOST_QUESTIONS, providers=[one.settings for one in auth.providers.values()],
            public=auth.site.public, current=[row for row in rows if not row.is_over], over=[row for row in rows if row.is_over],
            invited=_row(auth, invited) if invited else None, revoked="revoked" in request.query_params,
        )  # fmt: skip

    async def invitations(request: Request) -> Response:
        return await run_in_threadpool(listing, request, _typed(request.query_params))

    async def invite(request: Request) -> Response:
        typed = _typed(await small_form(request))
        if ask := pages.ask_anew(request, with_query(INVITATIONS, **typed)):
            return ask
        try:
            if not auth.providers:
                raise NotInvited("email", "Set up a provider to sign in with first; docs/sign-in.md says how.")
            days = _between(typed.get("days", ""), 1, MOST_DAYS, "days", "days")
            ends = auth.clock() + timedelta(days=days)
            made = auth.invitations.invite(typed.get("email", ""), typed.get("role", ""), session_of(request).account.id, ends)
        except NotInvited as refused:
            return listing(request, typed, refused, 400)
        pages.record(request, "invited", subject_id=made.id, name=made.email, role=made.role, ends=f"{ends:%Y-%m-%d %H:%M} UTC")
        return RedirectResponse(with_query(INVITATIONS, invited=made.id), 303)

    async def open_link(request: Request) -> Response:
        """Makes the link and shows it in the answer itself: its token is kept nowhere, so there is no page to redirect to."""
        typed = _typed(await small_form(request))
        if ask := pages.ask_anew(request, with_query(INVITATIONS, **typed)):
            return ask
        try:
            seats = _between(typed.get("seats", ""), 1, MOST_SEATS, "seats", "seats")
            bounded = typed.get("quota", "")
            quota = _between(bounded, 1, MOST_QUESTIONS, "quota", "questions, or leave it empty") if bounded else None
            if (lifetime := typed.get("lifetime", "")) not in LIFETIMES:
                raise NotInvited("lifetime", "Choose how long the link is open.")
            ends = auth.clock() + LIFETIMES[lifetime][1]
            made, token = auth.invitations.open_link(typed.get("name", ""), seats, quota, session_of(request).account.id, ends)
        except NotInvited as refused:
            return listing(request, typed, refused, 400)
        pages.record(
            request, "invited", subject_id=made.id, name=made.name, role="guest", seats=str(seats),
            ends=f"{ends:%Y-%m-%d %H:%M} UTC",
        )  # fmt: skip
        link = f"{auth.site.public}/auth/join#{token}"
        return pages.page(
            request, "admin_link.html", here="admin", tab="invitations", row=_row(auth, made), link=link, code=qr_code(link),
            address=auth.site.host, only_here=is_loopback_url(auth.site.public),
        )  # fmt: skip

    def found(request: Request) -> Row | None:
        invitation = auth.invitations.get(plain(request.path_params["id"]))
        row = _row(auth, invitation) if invitation else None
        return row if row and not row.is_over else None

    async def confirm_revoke(request: Request) -> Response:
        row = found(request)
        if row is None:
            return pages.refuse(request, 404, "That invitation is over already. Go back to the list of invitations.")
        one = row.invitation
        return pages.page(
            request, "admin_confirm.html", here="admin", tab="invitations", back=INVITATIONS,
            action=f"{INVITATIONS}/{one.id}/revoke", button="Revoke", heading=f"Revoke {one.name}?",
            help="Everyone who came in by this link is signed out at once, and their chats are deleted. This cannot be undone."
            if one.is_link else f"{one.email} can then not come in by this invitation any more.",
        )  # fmt: skip

    async def revoke(request: Request) -> Response:
        row = found(request)
        if ask := pages.ask_anew(request, INVITATIONS):
            return ask
        if row and auth.invitations.revoke(row.invitation.id):
            pages.record(request, "invitation-revoked", subject_id=row.invitation.id, name=row.invitation.name)
            await run_in_threadpool(sweep, auth, forget)  # its guests are out when the admin reads so
        return RedirectResponse(with_query(INVITATIONS, revoked="1"), 303)

    return [
        Route(INVITATIONS, for_admins(pages, invitations, fresh=True)),
        Route(INVITATIONS, for_admins(pages, invite), methods=["POST"]),
        Route(INVITATIONS + "/link", for_admins(pages, open_link), methods=["POST"]),
        Route(INVITATIONS + "/{id}/revoke", for_admins(pages, confirm_revoke, fresh=True)),
        Route(INVITATIONS + "/{id}/revoke", for_admins(pages, revoke), methods=["POST"]),
    ]


def _typed(given: Mapping[str, str]) -> dict[str, str]:
    return {name: plain(given.get(name, ""), most + 1) for name, most in FIELDS.items() if given.get(name)}


def _between(text: str, least: int, most: int, field: str, unit: str) -> int:
    value = number(text)
    if value is None or not least <= value <= most:
        raise NotInvited(field, f"Give a whole number from {least} to {most} {unit}.")
    return value


def _row(auth: Auth, one: Invitation) -> Row:
    now = auth.clock()
    return Row(one, one.state(now), (coming if one.expires_at > now else past)(one.expires_at, now))
