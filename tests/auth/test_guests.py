"""The guests' way in, through the pages, and their way out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from auth.guests import sweep
from auth.invitations import Invitation
from auth.middleware import SIGNED_OUT, Guard
from auth.sessions import Account
from core.database import open_database
from core.store import Run, Store
from tests.auth.site import Site, join
from tests.support.auth import BASE, make_auth
from tests.support.clock import wait_until
from tests.support.serve import Served

COOKIE = "portico-7860"
HOUR = timedelta(hours=1)


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database)


def link(site: Site, seats: int = 3, quota: int | None = None, lasts: timedelta = HOUR) -> tuple[Invitation, str]:
    return site.auth.invitations.open_link("Demo", seats, quota, "owner", site.now() + lasts)


async def test_get_shows_one_button_and_takes_no_seat(site: Site) -> None:
    made, _ = link(site)
    async with site.client() as client:
        page = await client.get("/auth/join")
    assert page.status_code == 200
    assert page.text.count("<button") == 1
    assert 'maxlength="40"' in page.text
    found = site.auth.invitations.get(made.id)
    assert found is not None
    assert found.used == 0


async def test_a_guest_comes_in_with_a_quota_until_the_link_ends(site: Site) -> None:
    made, token = link(site, quota=7)
    async with site.client() as client:
        answer = await join(client, token, "  Zoë \u202e\x07 ")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await client.get("/")).text == "home"
        session = site.auth.sessions.find(client.cookies[COOKIE])
        assert session is not None
        assert (session.account.name, session.account.role, session.account.quota) == ("Zoë", "guest", 7)
        assert (session.method, session.level, session.ends_at) == ("invitation", "full", made.expires_at)
        site.now.move(hours=1)
        assert (await client.get("/")).status_code == 303, "back to sign-in"


async def test_guests_without_a_name_are_numbered(site: Site) -> None:
    _, token = link(site)
    for number in (1, 2):
        async with site.client() as client:
            await join(client, token, " ")
            session = site.auth.sessions.find(client.cookies[COOKIE])
            assert session is not None
            assert session.account.name == f"Guest {number}"


async def test_a_browser_that_is_in_takes_no_second_seat(site: Site) -> None:
    made, token = link(site)
    async with site.client() as client:
        await join(client, token)
        cookie = client.cookies[COOKIE]
        again = await join(client, token, "Other")
        assert (again.status_code, again.headers["location"]) == (303, "/")
        assert client.cookies[COOKIE] == cookie
    found = site.auth.invitations.get(made.id)
    assert found is not None
    assert found.used == 1


async def test_a_guest_of_another_link_changes_over(site: Site) -> None:
    _, first = link(site)
    _, second = link(site)
    async with site.client() as client:
        await join(client, first, "Zoë")
        old = client.cookies[COOKIE]
        await join(client, second, "Zoë")
        assert site.auth.sessions.find(old) is None
        assert site.auth.sessions.find(client.cookies[COOKIE]) is not None
    site.now.move(minutes=2)
    site.sweep()
    assert len(site.forgotten) == 1, "nobody reaches the first visit again"


@pytest.mark.parametrize("role", ["member", "admin"])
async def test_who_has_an_account_is_told_so_and_takes_no_seat(site: Site, role: str) -> None:
    made, token = link(site)
    async with site.client(Account("ada", "Ada", role)) as client:
        shown, posted = await client.get("/auth/join"), await join(client, token)
        assert (shown.status_code, posted.status_code) == (200, 409)
        for page in (shown, posted):
            assert "signed in as Ada" in page.text
            assert 'href="/"' in page.text
            assert "<form" not in page.text
        assert (await client.get("/")).text == "home", "and stays signed in"
    found = site.auth.invitations.get(made.id)
    assert found is not None
    assert found.used == 0


async def test_wrong_expired_and_revoked_links_answer_alike(site: Site) -> None:
    _, expired_token = link(site)
    site.now.move(hours=1)
    revoked, revoked_token = link(site)
    site.auth.invitations.revoke(revoked.id)
    answers: list[httpx.Response] = []
    for token in ("", "wrong", "x" * 19_000, "x" * 30_000, "ü\0", expired_token, revoked_token):
        async with site.client() as client:
            answers.append(await join(client, token))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert all("set-cookie" not in answer.headers for answer in answers)
    assert "ask for a new one" in answers[0].text


async def test_a_full_link_says_so(site: Site) -> None:
    _, token = link(site, seats=1)
    async with site.client() as client:
        await join(client, token)
    async with site.client() as client:
        answer = await join(client, token)
        assert answer.status_code == 409
        assert "All places" in answer.text
        assert "set-cookie" not in answer.headers


async def test_another_site_lets_nobody_in(site: Site) -> None:
    _, token = link(site)
    async with site.client(origin="https://evil.example") as client:
        assert (await join(client, token)).status_code == 403


async def test_twenty_at_once_and_three_seats_are_three_guests(site: Site) -> None:
    made, token = link(site, seats=3)
    clients = [site.client() for _ in range(20)]
    answers = await asyncio.gather(*(join(client, token) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [303] * 3 + [409] * 17
    assert len(site.guests_of(made.id)) == 3
    for client in clients:
        await client.aclose()


async def test_a_guest_sees_the_chat_alone(site: Site) -> None:
    """No account, no admin pages, no API token, no second factor to set up, no change by any POST."""
    made, token = link(site)
    async with site.client() as client:
        await join(client, token)
        for path in (
            "/auth/account", "/auth/account/export", "/auth/account/tokens/new", "/auth/two-factor/set-up", "/auth/admin",
            "/auth/admin/people/owner", "/auth/admin/people/owner/delete", "/auth/admin/invitations",
            f"/auth/admin/invitations/{made.id}/revoke", "/auth/admin/audit", "/auth/admin/audit.csv",
        ):  # fmt: skip
            answer = await client.get(path)
            assert answer.status_code == 403, path
            assert "set-cookie" not in answer.headers
        for path in (
            "/auth/account/export", "/auth/account/tokens", "/auth/two-factor/set-up", "/auth/admin/people/owner/role",
            "/auth/admin/people/owner/delete", "/auth/admin/invitations", "/auth/admin/invitations/link",
            f"/auth/admin/invitations/{made.id}/revoke",
        ):  # fmt: skip
            given = {"name": "x", "scope-chat": "on", "seats": "5", "lifetime": "hour", "role": "member", "code": "123456"}
            assert (await client.post(path, data=given)).status_code == 403, path
        [guest] = site.guests_of(made.id)
    assert site.auth.tokens.all(guest.id) == []
    assert not site.auth.totp.has(guest.id)
    assert len(site.auth.invitations.all()) == 1
    assert {one.event for one in site.events()} == {"invitation-used", "sign-in"}


async def test_a_guest_who_signs_out_is_deleted(site: Site) -> None:
    made, token = link(site)
    async with site.client() as client:
        await join(client, token)
        [guest] = site.guests_of(made.id)
        site.now.move(minutes=2)
        site.sweep()
        assert site.forgotten == []
        await client.post("/auth/sign-out")
    site.sweep()
    assert site.forgotten == [guest.id]
    assert site.auth.people.find(guest.id) is None


async def test_the_end_of_a_link_ends_its_guests_open_websocket(database: Engine) -> None:
    """By the guard's own timer, at the second, whether or not a sweep comes by."""
    site = Site(database)
    site.auth = make_auth(database)  # real time
    made, _ = site.auth.invitations.open_link("Demo", 1, None, "owner", site.auth.clock() + timedelta(seconds=1))
    guest = site.auth.people.add_guest("Guest", made.id, None)
    token = site.auth.sessions.create(guest, method="invitation", ends_at=made.expires_at)

    async def hold(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    raw = {"host": BASE[7:], "origin": BASE, "cookie": f"{COOKIE}={token}"}
    scope = {
        "type": "websocket",
        "path": "/ws",
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in raw.items()],
    }
    await asyncio.wait_for(Guard(hold, site.auth.sessions, site.auth.site)(scope, asyncio.Queue().get, send), 10)
    assert sent == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": SIGNED_OUT}]
    assert site.auth.clock() >= made.expires_at - timedelta(milliseconds=100)


async def test_a_revocation_ends_its_guests_sessions_and_nobody_elses(site: Site) -> None:
    made, token = link(site)
    _, other_token = link(site)
    async with site.client() as guest, site.client() as other, site.owner() as owner:
        await join(guest, token)
        await join(other, other_token)
        await owner.post(f"/auth/admin/invitations/{made.id}/revoke")
        assert (await guest.get("/")).status_code == 303
        assert (await other.get("/")).text == "home"
        assert (await owner.get("/")).text == "home"


def test_what_guests_wrote_goes_with_them(database: Engine) -> None:
    site, store = Site(database), Store(database)
    made, _ = link(site)
    guest = site.auth.people.add_guest("Guest", made.id, None)
    for user in (guest.id, "ada"):
        store.add_run(Run(f"run-{user}"[:32], f"of-{user}"[:32], user, "chat", "m", {"message": "hi"}), "hi")
    store.count_run(guest.id, 5)
    site.auth.invitations.revoke(made.id)
    sweep(site.auth, store.forget)
    assert store.export(guest.id) == {"conversations": []}
    assert len(store.conversations("ada")) == 1


def test_a_running_server_sees_guests_out_by_itself(tmp_path: Path) -> None:
    """The sweep is part of what the server does every other second: here the link ends in the database beside it."""
    with Served(tmp_path, "--ui", "streamlit") as served:
        assert served.link, "it is up"
        database = open_database(f"sqlite:///{tmp_path / 'portico.db'}")
        auth, store = make_auth(database), Store(database)
        made, _ = auth.invitations.open_link("Demo", 2, 5, "owner", auth.clock() + HOUR)
        guest = auth.people.add_guest("Guest", made.id, 5)
        token = auth.sessions.create(guest, method="invitation", ends_at=made.expires_at)
        store.add_run(Run("run", "conversation", guest.id, "chat", "m", {"message": "hi"}), "hi")
        with httpx.Client(base_url=served.url, cookies={f"portico-{served.url.rpartition(':')[2]}": token}) as client:
            page = client.get("/")
            assert "You are a guest, with 5 questions in all." in page.text
            assert "/auth/account" not in page.text
            auth.invitations.revoke(made.id)
            wait_until(lambda: client.get("/").status_code == 401)
        wait_until(lambda: auth.people.find(guest.id) is None)
        assert store.export(guest.id) == {"conversations": []}
        database.dispose()
    assert "Traceback" not in served.terminal
