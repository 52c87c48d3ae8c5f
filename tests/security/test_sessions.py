"""Sessions, as someone would attack them who steals a token, plants one, or sits where another signed out: CHECKLIST 31-38."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.responses import Response

from auth.middleware import OUR_COOKIES, SIGNED_OUT, Guard
from auth.sessions import ABSOLUTE, IDLE, Session, Sessions
from auth.site import Site as Addresses
from auth.store import token_hash
from tests.auth import test_guard
from tests.auth.house import ADA, BO, House
from tests.auth.site import Site
from tests.support.auth import BASE, Now, make_auth

PUBLIC = "https://demo.example.com"
LOCAL_COOKIE = "portico-7860"
STEP_UP = "/auth/two-factor"


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def sessions(any_database: Engine, now: Now) -> Sessions:
    return Sessions(any_database, now)


def opened(sessions: Sessions, token: str | None) -> Session:
    found = sessions.find(token or "")
    assert found is not None
    return found


# 31: a new token at each authentication


async def test_signing_in_makes_a_new_session_and_ends_the_one_before(house: House, client: httpx.AsyncClient) -> None:
    """CHECKLIST 31: at sign-in, the id is new and the old token is dead."""
    before, old = house.enter(client, BO), client.cookies[house.cookie]
    await client.post("/auth/link", data={"token": house.auth.links.create()})
    after = house.session(client)
    assert after is not None
    assert (after.account.id, after.id != before.id, client.cookies[house.cookie] != old) == ("owner", True, True)
    assert house.auth.sessions.find(old) is None


async def test_the_second_factor_on_the_way_in_makes_a_new_session(house: House, client: httpx.AsyncClient) -> None:
    """CHECKLIST 31: a half session's id and token both end with the second factor."""
    secret = house.enrol()
    half, old = house.enter(client, level="half"), client.cookies[house.cookie]
    await client.post(STEP_UP, data={"code": house.code(secret)})
    full = house.session(client)
    assert full is not None
    assert (full.level, full.id != half.id) == ("full", True)
    assert house.auth.sessions.find(old) is None


async def test_a_step_up_makes_a_new_token_and_what_is_open_goes_on(house: House, client: httpx.AsyncClient) -> None:
    """CHECKLIST 31: at step-up the old token is dead (OWASP ASVS 5, 7.2.4); the id opens nothing, and stays."""
    secret = house.enrol()
    before, old = house.enter(client), client.cookies[house.cookie]
    ended: list[str] = []
    house.auth.sessions.on_revoke.append(ended.append)
    house.now.move(minutes=16)
    await client.post(STEP_UP, data={"code": house.code(secret)})
    after = house.session(client)
    assert after is not None
    assert (after.id, ended) == (before.id, [])
    assert house.auth.sessions.is_fresh(after)
    assert client.cookies[house.cookie] != old
    assert house.auth.sessions.find(old) is None
    async with house.client() as thief:
        thief.cookies.set(house.cookie, old)
        assert (await thief.get("/", headers={"accept": "*/*"})).status_code == 401


# 32: fixation


@pytest.mark.parametrize("planted", ["chosen", "A" * 43, "another's full session", "another's half session"])
async def test_a_token_that_was_there_before_signing_in_is_never_adopted(
    house: House, client: httpx.AsyncClient, planted: str
) -> None:
    """CHECKLIST 32: a cookie that someone planted in a browser opens nothing of whoever signs in there."""
    if planted.startswith("another's"):
        planted = house.auth.sessions.create(BO, planted.split()[1])
    client.cookies.set(house.cookie, planted, "127.0.0.1")
    await client.post("/auth/link", data={"token": house.auth.links.create()})
    mine = client.cookies[house.cookie]
    assert opened(house.auth.sessions, mine).account.id == "owner"
    assert mine != planted
    assert house.auth.sessions.find(planted) is None


async def test_a_token_in_the_address_a_header_or_a_form_is_none(house: House, client: httpx.AsyncClient) -> None:
    """CHECKLIST 32: only the cookie counts, so no link can carry a session."""
    token = house.auth.sessions.create(ADA)
    fields = {house.cookie: token, "token": token, "session": token}
    headers = {"authorization": f"Bearer {token}", "x-auth-session": token, "accept": "*/*"}
    assert (await client.get("/", params=fields, headers=headers)).status_code == 401
    assert (await client.post("/", data=fields, headers=headers)).status_code == 401
    client.cookies.set(house.cookie, opened(house.auth.sessions, token).id)
    assert (await client.get("/", headers=headers)).status_code == 401, "nor does a session's id, which lists show"


# 33: cookies


def flags(response: Response | httpx.Response) -> dict[str, Morsel[str]]:
    """The cookies that a response sets, by name."""
    given = response.headers.getlist if isinstance(response, Response) else response.headers.get_list
    return {name: morsel for header in given("set-cookie") for name, morsel in SimpleCookie(header).items()}


def assert_safe(name: str, cookie: Morsel[str], secure: bool) -> None:
    assert (bool(cookie["httponly"]), bool(cookie["secure"]), cookie["samesite"]) == (True, secure, "lax"), name
    assert (cookie["path"], cookie["domain"]) == ("/", ""), name  # what `__Host-` asks for, and no other host sees it


@pytest.mark.parametrize("kind", OUR_COOKIES)
def test_under_https_every_cookie_is_bound_to_this_host_and_to_https(kind: str) -> None:
    """CHECKLIST 33: `__Host-`, HttpOnly, Secure, SameSite=Lax, for sessions, sign-ins under way and remembered browsers."""
    cookie = Addresses.of(PUBLIC, 7860).cookie("demo.example.com", kind)
    for change in (lambda response: cookie.set(response, "token"), cookie.clear):
        change(response := Response())
        ((name, morsel),) = flags(response).items()
        assert name == ("__Host-portico-" + kind).rstrip("-")
        assert_safe(name, morsel, secure=True)


@pytest.mark.parametrize("kind", OUR_COOKIES)
def test_on_plain_http_loopback_the_name_carries_the_port(kind: str) -> None:
    """CHECKLIST 33: cookies tell no ports apart, so another server's on this machine has another name; Secure is impossible."""
    names = set()
    for port in (7860, 7861):
        cookie = Addresses.of(f"http://127.0.0.1:{port}", port).cookie(f"127.0.0.1:{port}", kind)
        cookie.set(response := Response(), "token")
        ((name, morsel),) = flags(response).items()
        assert name == f"portico-{port}-{kind}".rstrip("-")
        assert_safe(name, morsel, secure=False)
        names.add(name)
    assert len(names) == 2


async def test_the_cookies_that_the_pages_set_are_these(database: Engine) -> None:
    """CHECKLIST 33: on the way in with a second factor and "remember this browser", under https."""
    house = House(database, public=PUBLIC)
    secret = house.enrol()
    async with house.client() as client:
        seen = flags(await client.get("/auth/callback/google?user=ada"))
        seen |= flags(await client.post(STEP_UP, data={"code": house.code(secret), "remember": "on"}))
    assert seen.keys() == {"__Host-portico", "__Host-portico-browser"}
    for name, cookie in seen.items():
        assert_safe(name, cookie, secure=True)


async def test_a_cookie_of_plain_http_opens_nothing_under_https(database: Engine) -> None:
    """CHECKLIST 33: what someone on the network could plant or read without https is not taken under it."""
    house = House(database, public=PUBLIC)
    token = house.auth.sessions.create(ADA)
    async with house.client() as client:
        for name in (LOCAL_COOKIE, "portico", "portico-443"):
            assert (await client.get("/", headers={"cookie": f"{name}={token}", "accept": "*/*"})).status_code == 401
        assert (await client.get("/", headers={"cookie": f"__Host-portico={token}"})).status_code == 200


# 34, 35: timeouts


def test_an_idle_session_ends_after_seven_days_and_use_puts_that_off(sessions: Sessions, now: Now) -> None:
    """CHECKLIST 34: the idle timeout."""
    token = sessions.create(ADA)
    now.now += IDLE
    assert sessions.find(token)
    now.now += IDLE + timedelta(seconds=1)
    assert sessions.find(token) is None
    assert sessions.of_user("ada") == []


def test_idleness_counts_across_a_restart(any_database: Engine, now: Now) -> None:
    """CHECKLIST 34: it is counted from what the database says, not from when the process began."""
    token = Sessions(any_database, now).create(ADA)
    now.now += IDLE + timedelta(seconds=1)
    assert Sessions(any_database, now).find(token) is None


async def test_an_idle_session_ends_what_it_holds_open(database: Engine, now: Now) -> None:
    """CHECKLIST 34: a websocket that nobody's requests stand behind any more is closed too."""
    sessions = Sessions(database, now)
    socket, task, _ = await open_socket(sessions)
    now.now += IDLE + timedelta(seconds=1)
    await asyncio.to_thread(sessions.refresh)
    await asyncio.wait_for(task, 5)
    assert socket.sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


def test_a_session_ends_after_thirty_days_however_busy(sessions: Sessions, now: Now) -> None:
    """CHECKLIST 35: the absolute timeout."""
    start, token = now(), sessions.create(ADA)
    while now() - start < ABSOLUTE:
        assert sessions.find(token)
        now.move(days=3)
    assert sessions.find(token) is None


def test_stepping_up_puts_the_absolute_timeout_off_by_nothing(sessions: Sessions, now: Now) -> None:
    """CHECKLIST 35: whoever shows the second factor every day still signs in anew after 30 days."""
    start, token = now(), sessions.create(ADA)
    end = opened(sessions, token).ends_at
    while now() - start < ABSOLUTE:
        session = opened(sessions, token)
        assert session.ends_at == end
        token = sessions.step_up(session) or ""
        now.move(days=1)
    assert sessions.find(token) is None


async def test_the_absolute_timeout_ends_what_is_open(database: Engine) -> None:
    """CHECKLIST 35: a websocket that is open at the end of the session is closed then."""
    await test_guard.test_the_absolute_timeout_ends_an_open_websocket(database)


# 36: revoking


async def open_socket(sessions: Sessions) -> tuple[Any, asyncio.Task[Any], Session]:
    """A websocket of Ada's behind a guard, accepted and left open."""
    guard, token = Guard(test_guard.tell, sessions, test_guard.SITE), sessions.create(ADA)
    socket = test_guard.Socket(guard, origin=f"http://{test_guard.HOST}", **test_guard.cookie(token))
    task = asyncio.create_task(socket.run())
    await test_guard.until(lambda: len(socket.sent) == 2)
    return socket, task, opened(sessions, token)


async def test_revoking_ends_open_websockets_and_streams_at_once(database: Engine) -> None:
    """CHECKLIST 36: at the guard, whatever app is behind it; through both frontends in tests/browser."""
    sessions = Sessions(database)
    guard = Guard(test_guard.tell, sessions, test_guard.SITE)
    await test_guard.test_a_revoked_session_ends_its_open_websocket(guard, sessions)
    await test_guard.test_a_revoked_session_cuts_its_open_stream_and_no_other(guard, sessions)


@pytest.mark.parametrize("how", ["revoke", "revoke_all"])
async def test_revoking_in_another_process_ends_what_is_open_here(database: Engine, how: str) -> None:
    """CHECKLIST 36: `python app.py user revoke` and its kind, seen within the two seconds between refreshes."""
    sessions, elsewhere = Sessions(database), Sessions(database)
    socket, task, session = await open_socket(sessions)
    sessions.refresh()
    assert not task.done(), "nothing ends that nobody ended"
    if how == "revoke":
        elsewhere.revoke(session.id)
    else:
        assert elsewhere.revoke_all("ada") == 1
    await asyncio.to_thread(sessions.refresh)
    await asyncio.wait_for(task, 5)
    assert socket.sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


async def test_shutting_someone_out_ends_what_they_hold_open(database: Engine) -> None:
    """CHECKLIST 36: a disabled account's sessions end, whoever disabled it."""
    auth = make_auth(database)
    socket, task, _ = await open_socket(auth.sessions)
    auth.people.set_disabled("ada", True)
    await asyncio.to_thread(auth.sessions.refresh)
    await asyncio.wait_for(task, 5)
    assert socket.sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


# 37: the list of devices


async def test_a_person_sees_their_devices_and_signs_out_one_or_all_others(database: Engine) -> None:
    """CHECKLIST 37: the list, "sign out this one" and "sign out all others", of one's own sessions alone."""
    site = Site(database)
    async with site.client(ADA) as here, site.client(ADA) as phone, site.client(ADA) as laptop, site.client(BO) as other:
        mine = {client: opened(site.auth.sessions, client.cookies[LOCAL_COOKIE]).id for client in (here, phone, laptop, other)}
        page = (await here.get("/auth/account")).text
        assert [f"/auth/account/sessions/{mine[one]}/end" in page for one in (here, phone, laptop, other)] == [
            False, True, True, False,
        ]  # fmt: skip
        await here.post(f"/auth/account/sessions/{mine[phone]}/end")
        await here.post(f"/auth/account/sessions/{mine[other]}/end")
        got_in = [(await one.get("/", headers={"accept": "*/*"})).status_code for one in (here, phone, laptop, other)]
        assert got_in == [200, 401, 200, 200], "another person's session is not one's own to end"
        half = site.auth.sessions.create(ADA, "half")
        await here.post("/auth/account/sessions/end-others")
        got_in = [(await one.get("/", headers={"accept": "*/*"})).status_code for one in (here, laptop, other)]
        assert got_in == [200, 401, 200]
        assert site.auth.sessions.find(half) is None, "nor does anyone go on who stands before the second factor"


# 38: what is stored


def test_no_token_of_any_kind_stands_in_the_database_file(database: Engine, tmp_path: Path, now: Now) -> None:
    """CHECKLIST 38: sessions, step-ups, remembered browsers, API tokens, the terminal's link, invitations: hashes alone."""
    auth = make_auth(database, now)
    first = auth.sessions.create(ADA)
    second = auth.sessions.step_up(opened(auth.sessions, first))
    now.move(minutes=1)
    _, api_token = auth.tokens.make(ADA, "ci", ["chat"], now() + timedelta(days=1))
    _, invitation = auth.invitations.open_link("Talk", 5, None, "ada", now() + timedelta(days=1))
    tokens = {
        "session": first, "step-up": second or "", "half session": auth.sessions.create(BO, "half"), "API": api_token,
        "browser": auth.browsers.remember("ada", "Firefox"), "link": auth.links.create(), "invitation": invitation,
    }  # fmt: skip
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    for kind, token in tokens.items():
        secret = token.removeprefix("portico_")
        assert len(secret) >= 43, kind
        assert secret[12:].encode() not in stored, kind  # an API token's first characters are shown to its owner
        if kind != "session":  # its row is the step-up's now
            assert token_hash(token).encode() in stored, f"{kind}: what is looked for would be found"


async def test_no_page_shows_its_readers_token(database: Engine) -> None:
    """CHECKLIST 38: nor does a page, the export or the log of what happened hold it."""
    site = Site(database)
    async with site.client(ADA) as client:
        token = client.cookies[LOCAL_COOKIE]
        site.auth.browsers.remember("ada", "Firefox")
        answers = [await client.get("/auth/account"), await client.post("/auth/account/export")]
    assert [answer.status_code for answer in answers] == [200, 200]
    for text in (*(answer.text for answer in answers), str(site.events())):
        assert token not in text
        assert token_hash(token) not in text
    assert BASE not in answers[1].text
