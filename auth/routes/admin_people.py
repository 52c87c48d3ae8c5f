"""People, for admins: who there is, and what can be done to an account."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.factors import UNTIL_RESET
from auth.parts import Auth
from auth.people import OWNER, ROLES, Person
from auth.routes.admin_acts import ASKED_FIRST, DONE, Acts, Refused, allowed, question
from auth.routes.admin_common import for_admins, number, plain, with_query
from auth.routes.common import Forget, Pages, session_of, small_form
from auth.words import When, coming, past

PEOPLE = "/auth/admin"
SHOWN = 50  # people a page


@dataclass(frozen=True, slots=True)
class Row:
    """A person in the list."""

    person: Person
    two_factor: bool
    sessions: int
    active: When | None


def people_routes(auth: Auth, pages: Pages, forget: Forget) -> list[Route]:
    """Routes of the list of people and of each person's page."""
    acts = Acts(auth, forget)

    async def people(request: Request) -> Response:
        search, role = plain(request.query_params.get("q", "")), request.query_params.get("role", "")
        role = role if role in ROLES else ""
        at = max(number(request.query_params.get("page", "")) or 1, 1)
        found = [one for one in await run_in_threadpool(auth.people.all, search) if role in ("", one.role)]
        rows = await run_in_threadpool(lambda: [_row(auth, one) for one in found[(at - 1) * SHOWN : at * SHOWN]])
        return pages.page(
            request, "admin_people.html", here="admin", tab="people", rows=rows, count=len(found), roles=ROLES, q=search,
            role=role, done=DONE.get(request.query_params.get("done", ""), ""),
            newer=with_query(PEOPLE, q=search, role=role, page=str(at - 1)) if at > 1 else "",
            older=with_query(PEOPLE, q=search, role=role, page=str(at + 1)) if len(found) > at * SHOWN else "",
        )  # fmt: skip

    def person_page(request: Request, person: Person, status: int = 200, error: str = "") -> Response:
        admin = session_of(request).account.id
        invitation = auth.invitations.get(person.invitation_id) if person.invitation_id else None
        locked, now = auth.factors.locked_until(person.id), auth.clock()
        return pages.page(
            request, "admin_person.html", status, here="admin", tab="people", error=error, person=person, row=_row(auth, person),
            may=allowed(admin, person), is_self=person.id == admin, is_owner=person.id == OWNER.id,
            joined=past(person.created_at, now), locked=locked is not None,
            opens=coming(locked, now) if locked and locked < UNTIL_RESET else None,
            tokens=len(auth.tokens.all(person.id)), invitation=invitation,
            named_admin=person.email.lower() in auth.options.admission.admins,
            role=request.query_params.get("role", person.role), done=DONE.get(request.query_params.get("done", ""), ""),
        )  # fmt: skip

    def found(request: Request) -> Person | None:
        person = auth.people.find(wanted) if (wanted := request.path_params["id"]).isprintable() else None
        return person if person and person.id == wanted else None

    def missing(request: Request) -> Response:
        return pages.refuse(request, 404, "There is no such account any more. Go back to the list of people.")

    async def person(request: Request) -> Response:
        who = found(request)
        return await run_in_threadpool(person_page, request, who) if who else missing(request)

    async def confirm(action: str, request: Request) -> Response:
        who = found(request)
        if who is None:
            return missing(request)
        if action not in allowed(session_of(request).account.id, who):
            return person_page(request, who, 403, "That cannot be done to this account.")
        asked = question(action, who)
        return pages.page(
            request, "admin_confirm.html", here="admin", tab="people", back=_address(who), action=f"{_address(who)}/{action}",
            heading=asked.heading, button=asked.button, help=asked.help,
        )  # fmt: skip

    async def change(request: Request) -> Response:
        who, action, form = found(request), request.path_params["action"], await small_form(request)
        if who is None:
            return missing(request)
        if ask := pages.ask_anew(request, with_query(_address(who), role=form.get("role", ""))):
            return ask
        if action not in allowed(session_of(request).account.id, who):
            return person_page(request, who, 403, "That cannot be done to this account.")
        try:
            event, details = await run_in_threadpool(acts.of[action], who, form)
        except Refused as refused:
            return person_page(request, who, 409, str(refused))
        pages.record(request, event, subject_id=who.id, name=who.name, **details)
        if action == "delete":
            return RedirectResponse(with_query(PEOPLE, done=action), 303)
        left = action == "role" and who.id == session_of(request).account.id and form.get("role") != "admin"
        return RedirectResponse("/" if left else with_query(_address(who), done=action), 303)

    return [
        Route(PEOPLE, for_admins(pages, people)),
        Route(PEOPLE + "/people/{id}", for_admins(pages, person, fresh=True)),
        *(Route(f"{PEOPLE}/people/{{id}}/{one}", for_admins(pages, partial(confirm, one), fresh=True)) for one in ASKED_FIRST),
        Route(PEOPLE + "/people/{id}/{action}", for_admins(pages, change), methods=["POST"]),
    ]


def _row(auth: Auth, person: Person) -> Row:
    open_sessions = auth.sessions.of_user(person.id)
    active = past(max(one.seen_at for one in open_sessions), auth.clock()) if open_sessions else None
    return Row(person, auth.factors.enrolled(person.id), len(open_sessions), active)


def _address(person: Person) -> str:
    return f"{PEOPLE}/people/{quote(person.id, safe='')}"
