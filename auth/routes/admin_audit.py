"""The audit log, for admins: a table with a filter, and all of it as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from auth.audit import CHUNK, EVENTS, Entry
from auth.parts import Auth
from auth.routes.admin_common import for_admins, number, plain, with_query
from auth.routes.common import Pages
from auth.words import device

AUDIT = "/auth/admin/audit"
SHOWN = 100  # entries a page

COLUMNS = ("time", "event", "what", "who", "who_id", "whom", "whom_id", "address", "browser", "details")

# A cell that a spreadsheet would run as a formula (OWASP, CSV Injection), also where another separator or a quote makes a cell
# begin within ours: a quote mark before it makes it text.
FORMULA = re.compile(r"(^|[,;\"\t\r\n])(?=[=+\-@\t\r\n＝＋－＠])")


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the page shows it."""

    entry: Entry
    what: str
    whom: str
    browser: str
    details: str


def audit_routes(auth: Auth, pages: Pages) -> list[Route]:
    """Routes of the audit log."""

    async def log(request: Request) -> Response:
        event, person = _filter(request)
        before = number(request.query_params.get("before", ""))
        found = await run_in_threadpool(auth.audit.entries, event, person, before, SHOWN + 1)
        rows = await run_in_threadpool(_rows, auth, found[:SHOWN])
        return pages.page(
            request, "admin_audit.html", here="admin", tab="audit", rows=rows, events=EVENTS, event=event, person=person,
            csv=with_query(AUDIT + ".csv", event=event, person=person), confirmed="confirmed" in request.query_params,
            newest=with_query(AUDIT, event=event, person=person) if before else "",
            older=with_query(AUDIT, event=event, person=person, before=str(rows[-1].entry.id)) if len(found) > SHOWN else "",
        )  # fmt: skip

    async def download(request: Request) -> Response:
        event, person = _filter(request)
        if ask := pages.ask_anew(request, with_query(AUDIT, event=event, person=person, confirmed="1")):
            return ask
        pages.record(request, "exported", what="audit log", of=event, about=person)
        headers = {"content-disposition": 'attachment; filename="portico-audit.csv"'}
        lines = as_csv(auth.audit.walk(event, person))
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    return [Route(AUDIT, for_admins(pages, log)), Route(AUDIT + ".csv", for_admins(pages, download), methods=["GET"])]


def as_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """The entries as CSV, a piece at a time. It begins with a byte order mark, without which Excel reads no accents."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    text.write("\ufeff")
    writer.writerow(COLUMNS)
    for count, one in enumerate(entries, 1):
        cells = (
            one.at.isoformat(timespec="seconds"), one.event, EVENTS.get(one.event, ""), one.actor, one.actor_id,
            one.details.get("name", ""), one.subject_id, one.address, one.agent, _details(one),
        )  # fmt: skip
        writer.writerow([FORMULA.sub(r"\1'", cell) for cell in cells])
        if count % CHUNK == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _filter(request: Request) -> tuple[str, str]:
    event = request.query_params.get("event", "")
    return event if event in EVENTS else "", plain(request.query_params.get("person", ""))


def _rows(auth: Auth, entries: list[Entry]) -> list[Row]:
    known = {one.id: one.name for subject in {entry.subject_id for entry in entries} if (one := auth.people.find(subject))}
    return [
        Row(
            one, EVENTS.get(one.event, one.event), one.details.get("name", "") or known.get(one.subject_id, ""),
            device(one.agent) if one.agent else "", _details(one),
        )
        for one in entries
    ]  # fmt: skip


def _details(one: Entry) -> str:
    return ", ".join(f"{name}: {value}" for name, value in one.details.items() if value and name != "name")
