"""The audit log: over the database, as a page and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from starlette.requests import Request

from auth.audit import CHUNK, EVENTS, MOST_REFUSED_EACH, Audit, Entry, Origin
from auth.routes.admin_audit import COLUMNS, SHOWN, as_csv
from auth.routes.common import Pages
from auth.sessions import FRESH, Account
from tests.auth.site import Site
from tests.support.auth import Now, make_auth

AUDIT = "/auth/admin/audit"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"


@pytest.fixture
def audit(any_database: Engine) -> Audit:
    return Audit(any_database, Now())


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database)


@pytest.fixture
async def owner(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.owner() as made:
        yield made


def entry(number: int = 1, **values: object) -> Entry:
    given: dict[str, object] = {
        "id": number, "at": datetime(2026, 11, 22, 13, 5, tzinfo=UTC), "event": "sign-in", "actor_id": "ada", "actor": "Ada",
        "subject_id": "", "address": "192.0.2.7", "agent": FIREFOX, "details": {"method": "google"},
    }  # fmt: skip
    return Entry(**(given | values))  # type: ignore[arg-type]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_an_entry_says_who_did_what_to_whom_from_where_and_when(audit: Audit) -> None:
    audit.record("role-changed", "ada", "Ada", Origin("192.0.2.7", FIREFOX), "bo", role="admin")
    [one] = audit.entries()
    assert (one.event, one.actor_id, one.actor, one.subject_id, one.address, one.agent) == (
        "role-changed", "ada", "Ada", "bo", "192.0.2.7", FIREFOX,
    )  # fmt: skip
    assert one.details == {"role": "admin"}
    assert one.at.tzinfo is not None


def test_an_event_that_is_not_listed_is_a_mistake_of_ours(audit: Audit) -> None:
    with pytest.raises(ValueError, match="no audit event"):
        audit.record("made-up")
    assert audit.entries() == []


def test_long_names_and_browsers_are_cut_not_refused(audit: Audit) -> None:
    audit.record("sign-in", "ada", "x" * 5000, Origin("y" * 5000, "z" * 5000))
    [one] = audit.entries()
    assert (len(one.actor), len(one.address), len(one.agent)) == (255, 64, 255)


def test_entries_are_found_by_event_and_by_person(any_database: Engine) -> None:
    auth = make_auth(any_database)
    auth.sessions.create(Account("ada", "Ada Lovelace", "member"))
    auth.people._change("ada", email="countess@example.com")
    auth.audit.record("sign-in", "ada", "Ada Lovelace")
    auth.audit.record("role-changed", "owner", "Owner", subject_id="ada", role="admin")
    auth.audit.record("sign-in", "bo", "100% Bo")

    def found(**wanted: str) -> list[tuple[str, str]]:
        return [(one.event, one.actor_id) for one in auth.audit.entries(**wanted)]  # type: ignore[arg-type]

    about_ada = [("role-changed", "owner"), ("sign-in", "ada")]
    assert found() == [("sign-in", "bo"), *about_ada]
    for person in ("ada", "LOVELACE", "countess@"):
        assert found(person=person) == about_ada, person
    assert found(event="sign-in", person="ada") == [("sign-in", "ada")]
    assert found(person="100%") == [("sign-in", "bo")]
    assert found(person="%") == [("sign-in", "bo")], "a wildcard of SQL is a character like any other"
    assert found(person="nobody") == []
    auth.people.delete("ada")
    assert found(person="lovelace") == [("sign-in", "ada")], "the log outlives the account"
    assert found(person="ada") == about_ada


def test_a_walk_gives_every_entry_once_the_newest_first(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(database)
    monkeypatch.setattr("auth.audit.CHUNK", 10)
    for number in range(35):
        audit.record("sign-in", f"user-{number}", f"User {number}")
    walk = audit.walk()
    seen = [next(walk).actor_id]
    audit.record("sign-in", "late", "Late")  # what comes meanwhile shifts nothing
    seen += [one.actor_id for one in walk]
    assert seen == [f"user-{number}" for number in reversed(range(35))]
    assert CHUNK > 100


async def test_the_page_shows_the_newest_in_words(site: Site, owner: httpx.AsyncClient) -> None:
    site.add(Account("ada", "Ada", "member"))
    site.auth.audit.record("role-changed", "owner", "Owner", Origin("192.0.2.7", FIREFOX), "ada", role="admin")
    site.auth.audit.record("sign-in-refused", origin=Origin("203.0.113.9"), method="link")
    page = (await owner.get(AUDIT)).text
    for text in ("A role was changed", "role: admin", ">Owner</a>", ">Ada</td>", "192.0.2.7", "Firefox on Linux", "203.0.113.9"):
        assert text in page
    assert page.index("method: link") < page.index("role: admin")
    assert f"{site.now():%Y-%m-%d %H:%M:%S}" in page


async def test_the_page_filters(site: Site, owner: httpx.AsyncClient) -> None:
    site.auth.audit.record("sign-in", "ada", "Ada", method="google")
    site.auth.audit.record("sign-out", "ada", "Ada")
    site.auth.audit.record("sign-in", "bo", "Bo", method="link")
    page = (await owner.get(AUDIT, params={"event": "sign-in", "person": "Ada"})).text
    rows = page[page.index("<tbody>") :]
    assert "method: google" in rows
    assert "method: link" not in rows
    assert rows.count("<tr>") == 1
    assert 'value="sign-in" selected' in page
    assert 'name="person" value="Ada"' in page
    assert "audit.csv?event=sign-in&amp;person=Ada" in page
    assert "No entry matches" in (await owner.get(AUDIT, params={"person": "nobody"})).text
    assert (await owner.get(AUDIT, params={"event": "'\0", "person": "\0", "before": "x" * 99})).status_code == 200


async def test_older_entries_are_a_click_away(site: Site, owner: httpx.AsyncClient) -> None:
    for number in range(SHOWN + 5):
        site.auth.audit.record("sign-in", "ada", f"Ada {number}.")
    first = (await owner.get(AUDIT + "?event=sign-in")).text
    assert f"Ada {SHOWN + 4}." in first
    assert "Ada 4." not in first
    older = re.search(r'href="(/auth/admin/audit\?[^"]*before=\d+)"', first)
    assert older
    second = (await owner.get(older[1].replace("&amp;", "&"))).text
    assert "Ada 4." in second
    assert second.count("<tr>") == 1 + 5
    assert "Older" not in second
    assert 'href="/auth/admin/audit?event=sign-in">Newest' in second


async def test_what_strangers_send_is_escaped(site: Site, owner: httpx.AsyncClient) -> None:
    site.auth.audit.record("sign-in", "<script>1", "<script>2", Origin("<script>3", "<script>4"), "<script>5", name="<script>6")
    page = (await owner.get(AUDIT, params={"person": "<script>"})).text
    assert "&lt;script&gt;2" in page
    assert not re.search(r"<script>\d", page)


async def test_the_csv_has_every_entry_of_the_filter_and_is_written_down(site: Site, owner: httpx.AsyncClient) -> None:
    for _ in range(SHOWN + 5):
        site.auth.audit.record("sign-in", "ada", "Ada", Origin("192.0.2.7", FIREFOX), method="google")
    site.auth.audit.record("sign-in", "bo", "Bö")
    answer = await owner.get(AUDIT + ".csv?event=sign-in&person=ada")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="portico-audit.csv"'
    rows = read(answer.text)
    assert len(rows) == SHOWN + 5
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0] | {"time": ""} == {
        "time": "", "event": "sign-in", "what": "Someone signed in", "who": "Ada", "who_id": "ada", "whom": "", "whom_id": "",
        "address": "192.0.2.7", "browser": FIREFOX, "details": "method: google",
    }  # fmt: skip
    assert datetime.fromisoformat(rows[0]["time"]) == site.now()
    everything = read((await owner.get(AUDIT + ".csv")).text)
    assert everything[1]["who"] == "Owner", "it tells of the export before"
    assert "Bö" in {row["who"] for row in everything}
    assert [one.details for one in site.events("exported")] == [
        {"what": "audit log", "of": "sign-in", "about": "ada"}, {"what": "audit log", "of": "", "about": ""},
    ]  # fmt: skip


async def test_the_csv_needs_a_fresh_factor_and_leads_back_to_the_same_filter(site: Site, owner: httpx.AsyncClient) -> None:
    site.now.move(seconds=FRESH.total_seconds() + 1)
    answer = await owner.get(AUDIT + ".csv?event=sign-in&person=a%26b")
    target = httpx.URL("http://x" + answer.headers["location"]).params["next"]
    assert target == "/auth/admin/audit?event=sign-in&person=a%26b&confirmed=1"
    page = (await owner.get(target)).text
    assert "The download is ready now" in page
    assert "audit.csv?event=sign-in&amp;person=a%26b" in page
    assert site.events("exported") == []


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "x;=1+1", 'x";=1', "x,=1", "x\n=1", "=HYPERLINK(\"http://evil\")"],
)  # fmt: skip
def test_no_cell_is_a_formula(cell: str) -> None:
    """OWASP, CSV Injection: what a spreadsheet would run is made text, after another locale's separator too."""
    text = "".join(as_csv([entry(agent=cell, actor=cell, details={"name": cell})]))
    [row] = read(text)
    for name in ("browser", "who", "whom"):
        for part in re.split(r'[,;"\t\r\n]', row[name]):
            assert not part.startswith(("=", "+", "-", "@", "＝"))
        assert row[name].replace("'", "") == cell, "nothing of it is lost"


@given(st.lists(st.text(), min_size=5, max_size=5))
def test_whatever_is_in_a_cell_the_csv_keeps_its_shape(cells: list[str]) -> None:
    actor, address, agent, subject, detail = (cell.replace("\0", "") for cell in cells)
    one = entry(actor=actor, address=address, agent=agent, subject_id=subject, details={"name": detail, "more": detail})
    rows = read("".join(as_csv([one, entry()])))
    assert len(rows) == 2
    assert all(list(row) == list(COLUMNS) for row in rows)
    assert rows[1]["who"] == "Ada"
    assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for value in row.values())


def test_the_csv_comes_in_pieces() -> None:
    pieces = list(as_csv(entry(number) for number in range(2 * CHUNK + 1)))
    assert len(pieces) == 3
    assert len(read("".join(pieces))) == 2 * CHUNK + 1


def test_who_was_not_let_in_is_found_by_their_email(audit: Audit) -> None:
    audit.record("sign-in-refused", method="acme", reason="not admitted", email="Eve_1@example.com")
    audit.record("sign-in-refused", method="acme", reason="not admitted", email="eveX1@example.com")
    audit.record("sign-in-refused", method="acme", reason="state")
    assert [one.details["email"] for one in audit.entries(person="eve_1@")] == ["Eve_1@example.com"]
    assert audit.entries(person="acme") == []


def test_every_event_is_a_sentence() -> None:
    assert all(re.fullmatch(r"[a-z-]{1,64}", name) and sentence[0].isupper() for name, sentence in EVENTS.items())


async def test_a_chosen_name_forges_no_line_of_the_terminals_log(database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    auth = make_auth(database)
    scope = {"type": "http", "headers": [], "session": None, "peer": "192.0.2.7"}
    Pages(auth, lambda *given, **values: "").record(
        Request(scope), "token-made", "ada", "Ada", name="x\nrole-changed: owner\x1b[2J"
    )
    assert "x?role-changed: owner?[2J" in caplog.text
    assert "\x1b" not in caplog.text


def test_strangers_cannot_bury_the_log(database: Engine) -> None:
    """A hundred refusals an hour from one address are written, and no more; what others do is, and an hour later all is again."""
    now = Now()
    audit = Audit(database, now)
    for _ in range(MOST_REFUSED_EACH + 5):
        audit.record("sign-in-refused", origin=Origin("192.0.2.7"), method="link")
    audit.record("sign-in-refused", origin=Origin("192.0.2.8"), method="link")
    audit.record("sign-in", "ada", "Ada", Origin("192.0.2.7"))
    refused = audit.entries("sign-in-refused", limit=None)
    assert len([one for one in refused if one.address == "192.0.2.7"]) == MOST_REFUSED_EACH
    assert len([one for one in refused if one.address == "192.0.2.8"]) == 1
    assert len(audit.entries("sign-in")) == 1
    now.move(hours=1, seconds=1)
    audit.record("sign-in-refused", origin=Origin("192.0.2.7"), method="link")
    assert len(audit.entries("sign-in-refused", limit=None)) == len(refused) + 1
