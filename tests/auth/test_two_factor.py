"""The pages of the second factor, behind the guard: asking for it, setting it up, recovery codes, taking it off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import Engine, insert
from starlette.requests import Request
from starlette.responses import Response

from auth.people import OWNER
from auth.routes.step_up import complete, destination
from auth.sessions import Account, Session
from auth.store import passkeys
from tests.auth.house import ADA, BO, House, alert
from tests.support.auth import BASE

COOKIE, REMEMBERED = "portico-7860", "portico-7860-browser"


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made


def add_passkey(database: Engine, house: House, user: str = "ada") -> None:
    new = {"id": user, "user_id": user, "name": "Key", "credential_id": user.encode(), "public_key": b"", "sign_count": 0}
    with database.begin() as connection:
        connection.execute(insert(passkeys).values(**new, created_at=house.now()))


async def come_from_provider(client: httpx.AsyncClient, user: str = "ada", **asked: str) -> httpx.Response:
    return await client.get("/auth/callback/google", params={"user": user, **asked})


def where(response: httpx.Response | Response) -> str:
    assert response.status_code == 303, response
    return response.headers["location"]


def secret_on(page: httpx.Response) -> str:
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', page.text)
    assert found, page.text
    return found[1].replace(" ", "")


def codes_on(page: httpx.Response) -> list[str]:
    return re.findall(r"<li>([A-Z2-7-]{29})</li>", page.text)


# Who is asked


async def test_who_signs_in_at_a_provider_sets_a_second_factor_up_first(house: House, client: httpx.AsyncClient) -> None:
    assert where(await come_from_provider(client, next="/?c=1")) == "/auth/two-factor"
    session = house.session(client)
    assert session
    assert session.level == "half"
    assert where(await client.get("/auth/two-factor")) == "/auth/two-factor/set-up?next=%2F%3Fc%3D1"


async def test_who_has_a_second_factor_is_asked_for_it(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    assert where(await come_from_provider(client)) == "/auth/two-factor"
    assert "six-digit code" in (await client.get("/auth/two-factor")).text


async def test_a_guest_is_asked_for_none(house: House, client: httpx.AsyncClient) -> None:
    house.auth.sessions.create(Account("gus", "Gus", "guest"))
    assert where(await come_from_provider(client, "gus", role="guest", next="/?c=1")) == "/?c=1"
    assert where(await client.get("/auth/two-factor")) == "/"
    refused = await client.get("/auth/two-factor/set-up")
    assert refused.status_code == 403
    assert "Guests need no second factor" in refused.text


async def sign_in_by_link(house: House, client: httpx.AsyncClient) -> str:
    return where(await client.post("/auth/link", data={"token": house.auth.links.create(), "next": "/?c=1"}))


async def test_the_links_owner_is_let_in_without_one_until_they_add_one(house: House, client: httpx.AsyncClient) -> None:
    assert await sign_in_by_link(house, client) == "/?c=1"
    house.enrol("owner")
    client.cookies.clear()
    assert await sign_in_by_link(house, client) == "/auth/two-factor"


async def test_the_links_owner_needs_one_where_the_settings_say_so(database: Engine) -> None:
    house = House(database, link_needs_second_factor=True)
    async with house.client() as client:
        assert await sign_in_by_link(house, client) == "/auth/two-factor"
        assert where(await client.get("/auth/two-factor")).startswith("/auth/two-factor/set-up")


async def test_signing_in_again_in_a_full_session_asks_in_place_and_ends_nothing(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    before = house.enter(client)
    assert where(await come_from_provider(client, next="/auth/account")) == "/auth/two-factor?next=%2Fauth%2Faccount"
    assert house.session(client) == before


async def test_signing_in_as_someone_else_ends_the_session_before(house: House, client: httpx.AsyncClient) -> None:
    house.enrol("bo")
    house.enter(client)
    token = client.cookies[COOKIE]
    assert where(await come_from_provider(client, "bo")) == "/auth/two-factor"
    assert house.auth.sessions.find(token) is None
    session = house.session(client)
    assert session
    assert (session.account.id, session.level) == ("bo", "half")


# Asking


async def test_the_right_code_lets_in_to_where_one_was_going(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    await come_from_provider(client, next="/?ui=streamlit&c=1")
    half = client.cookies[COOKIE]
    answer = await client.post("/auth/two-factor", data={"code": house.code(secret), "next": "/elsewhere"})
    assert where(answer) == "/?ui=streamlit&c=1"
    session = house.session(client)
    assert session
    assert session.level == "full"
    assert house.auth.sessions.find(half) is None
    assert REMEMBERED not in client.cookies
    assert house.events() == ["second-factor", "sign-in"]
    assert (await client.get("/gradio/")).text == "inside"


async def test_a_wrong_code_is_answered_with_what_to_do(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    house.enter(client, level="half")
    page = await client.post("/auth/two-factor", data={"code": house.wrong(secret), "remember": "on"})
    assert page.status_code == 403
    assert "Wait for the next one in your app" in alert(page)
    assert 'aria-invalid="true" aria-describedby="code-error"' in page.text
    assert 'name="remember" checked' in page.text, "what was chosen is kept"
    assert house.wrong(secret) not in page.text, "a code is not"
    assert house.events() == ["second-factor-failed"]
    assert where(await client.post("/auth/two-factor", data={"code": house.code(secret)})) == "/?c=7"


async def test_the_form_fits_how_codes_are_filled_in(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    house.enter(client, level="half")
    page = (await client.get("/auth/two-factor")).text
    for part in ('autocomplete="one-time-code"', 'inputmode="numeric"', "autofocus", "You have <span>10 minutes</span> left"):
        assert part in page
    pattern = re.search(r'pattern="([^"]+)"', page)
    assert pattern
    for typed, fits in {
        "123456": True,
        "123 456": True,
        " 12-34 56 ": True,
        "12345": False,
        "1234567": False,
        "abcdef": False,
    }.items():
        assert bool(re.fullmatch(pattern[1], typed)) is fits, typed


async def test_a_browser_is_remembered_for_thirty_days_if_asked(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    await come_from_provider(client)
    answer = await client.post("/auth/two-factor", data={"code": house.code(secret), "remember": "on"})
    [cookie] = [value for name, value in answer.headers.multi_items() if name == "set-cookie" and REMEMBERED in value]
    assert {"HttpOnly", "SameSite=lax", "Max-Age=2592000", "Path=/"} <= set(cookie.split("; "))
    assert house.events() == ["second-factor", "sign-in", "browser-remembered"]
    del client.cookies[COOKIE]
    assert where(await come_from_provider(client, next="/?c=1")) == "/?c=1"
    assert house.events()[-2:] == ["second-factor", "sign-in"]
    session = house.session(client)
    assert session
    assert not house.auth.sessions.is_fresh(session), "what needs its person anew still asks for a code"
    house.auth.browsers.forget("ada")
    del client.cookies[COOKIE]
    assert where(await come_from_provider(client)) == "/auth/two-factor"


async def test_a_browser_is_remembered_for_its_person_alone(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    house.enrol("bo")
    client.cookies.set(REMEMBERED, house.auth.browsers.remember("bo", ""), "127.0.0.1")
    assert where(await come_from_provider(client)) == "/auth/two-factor"


async def test_a_full_session_is_asked_anew_and_led_back(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    session = house.enter(client)
    token = client.cookies[COOKIE]
    assert where(await client.get("/auth/two-factor?next=/auth/account")) == "/auth/account", "it is fresh"
    house.now.move(minutes=16)
    page = await client.get("/auth/two-factor?next=/auth/account")
    assert 'name="next" value="/auth/account"' in page.text
    assert 'name="remember"' not in page.text
    answer = await client.post("/auth/two-factor", data={"code": house.code(secret), "next": "/auth/account", "remember": "on"})
    assert where(answer) == "/auth/account"
    assert REMEMBERED not in client.cookies
    after = house.session(client)
    assert after
    assert (after.id, house.auth.sessions.is_fresh(after)) == (session.id, True)
    assert house.auth.sessions.find(token) is None
    assert house.events() == ["second-factor"]


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_it_leads_to_no_other_site(house: House, client: httpx.AsyncClient, target: str) -> None:
    secret = house.enrol()
    house.enter(client)
    house.now.move(minutes=16)
    page = await client.get("/auth/two-factor", params={"next": target})
    assert 'name="next" value="/"' in page.text
    assert where(await client.post("/auth/two-factor", data={"code": house.code(secret), "next": target})) == "/"


@pytest.mark.parametrize(
    ("level", "kept", "asked", "leads"),
    [
        ("half", "/?c=1", "/x", "/?c=1"),
        ("half", "/auth/two-factor", "/x", "/"),
        ("half", "/auth/two-factor?next=%2F%3Fc%3D1", "/x", "/?c=1"),
        ("half", "/auth/two-factor/set-up?next=/auth/two-factor?next=/y", "/x", "/y"),
        ("half", "/auth/two-factor?next=//evil.example", "/x", "/"),
        ("full", "/?c=1", "/x?y=1", "/x?y=1"),
        ("full", "/?c=1", "//evil.example", "/"),
        ("full", "/?c=1", "/auth/two-factor/set-up?next=%2Fy", "/auth/two-factor/set-up?next=%2Fy"),
        ("full", "/?c=1", "/auth/two-factor?next=/auth/two-factor?next=/y", "/y"),
        ("full", "/?c=1", "/auth/two-factors", "/auth/two-factors"),
    ],
)
def test_where_it_leads(house: House, level: str, kept: str, asked: str, leads: str) -> None:
    session = Session("id", ADA, house.now(), house.now(), house.now(), level, next=kept)
    assert destination(session, asked) == leads


def test_of_two_tabs_at_once_the_second_keeps_the_cookie_of_the_first(house: House, client: httpx.AsyncClient) -> None:
    session = house.enter(client, level="half")
    headers = [(b"host", BASE.removeprefix("http://").encode())]
    request = Request({"type": "http", "method": "POST", "path": "/auth/two-factor", "headers": headers, "session": session})
    first, second = (complete(house.auth, house.pages, request, "totp", True, "/?c=1") for _ in range(2))
    assert where(first) == where(second) == "/?c=1"
    assert "set-cookie" in first.headers
    assert "set-cookie" not in second.headers
    assert house.events() == ["second-factor", "sign-in", "browser-remembered"]


async def test_with_a_passkey_alone_no_code_is_asked_for(database: Engine, house: House, client: httpx.AsyncClient) -> None:
    add_passkey(database, house)
    house.enter(client, level="half")
    page = (await client.get("/auth/two-factor")).text
    assert 'id="code"' not in page
    assert "Your passkey works only at" in page, "this browser is at 127.0.0.1, where there are no passkeys"
    assert "Use a recovery code" not in page, "there is none"
    house.auth.recovery.make("ada")
    assert "Use a recovery code" in (await client.get("/auth/two-factor")).text


async def test_a_lost_key_of_the_server_is_told_and_counts_as_no_failure(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    secret = House(database).enrol()
    house = House(database, secrets=["another secret of this server, long enough"])
    async with house.client() as client:
        house.enter(client, level="half")
        page = await client.post("/auth/two-factor", data={"code": house.code(secret)})
    assert page.status_code == 500
    assert "Use a recovery code" in alert(page)
    assert "List the old secret after the new one" in caplog.text
    assert "second-factor-failed" not in house.events()


async def test_a_code_sent_by_a_tab_that_another_overtook_is_no_wrong_one(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    await come_from_provider(client, next="/?c=1")
    sent = {"code": house.code(secret), "next": "/?c=1"}
    for _ in range(2):
        assert where(await client.post("/auth/two-factor", data=sent)) == "/?c=1"
    assert house.events() == ["second-factor", "sign-in"]
    house.now.move(minutes=16)
    assert (await client.post("/auth/two-factor", data=sent)).status_code == 403, "asked anew, the old code is wrong"


async def test_the_tick_goes_along_to_the_recovery_code(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    await come_from_provider(client)
    assert 'name="remember" >' in (await client.get("/auth/two-factor?method=recovery")).text
    assert 'name="remember" checked>' in (await client.get("/auth/two-factor?method=recovery&remember=")).text


# Too many wrong codes


async def test_one_wrong_code_too_many_ends_the_sign_in_and_says_what_to_do(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    house.enter(client, level="half")
    token = client.cookies[COOKIE]
    for _ in range(4):
        assert (await client.post("/auth/two-factor", data={"code": house.wrong(secret)})).status_code == 403
    page = await client.post("/auth/two-factor", data={"code": house.wrong(secret)})
    assert (page.status_code, page.headers["retry-after"]) == (429, "900")
    assert alert(page) == "Try again in 15 minutes."
    assert "ask an administrator to reset your second factor" in page.text
    assert house.auth.sessions.find(token) is None
    assert COOKIE not in client.cookies
    assert house.events() == ["second-factor-failed"] * 5 + ["locked"]


async def test_a_locked_account_is_told_so_at_once(house: House, client: httpx.AsyncClient) -> None:
    secret = house.enrol()
    for _ in range(5):
        house.auth.factors.failed("ada")
    house.now.move(minutes=8)
    house.enter(client, level="half")
    for page in (await client.get("/auth/two-factor"), await client.post("/auth/two-factor", data={"code": house.code(secret)})):
        assert page.status_code == 429
        assert alert(page) == "Try again in 7 minutes."
    assert house.session(client), "this one has guessed nothing"
    house.now.move(minutes=7)
    assert where(await client.post("/auth/two-factor", data={"code": house.code(secret)})) == "/?c=7"


async def test_after_a_hundred_in_a_row_an_administrator_must_help(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    for _ in range(100):
        house.auth.factors.failed("ada")
    house.now.move(days=300)
    house.enter(client, level="half")
    page = await client.get("/auth/two-factor")
    assert page.status_code == 429
    assert "Ask an administrator to reset your second factor" in page.text
    assert "retry-after" not in page.headers


@pytest.mark.parametrize(
    ("account", "email", "name"),
    [
        (OWNER, "", "owner"), (OWNER, "grace@example.com", "owner"), (Account("cy", "Cy", "admin"), "", "cy"),
        (Account("cy", "Cy", "admin"), "cy@example.com", "cy@example.com"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("failures", [5, 100])
async def test_a_locked_administrator_reads_how_to_help_themselves(
    house: House, client: httpx.AsyncClient, account: Account, email: str, name: str, failures: int
) -> None:
    house.enter(client, account, level="half", method="link")
    house.auth.people._change(account.id, email=email or None)
    house.enrol(account.id)
    for _ in range(failures):
        house.auth.factors.failed(account.id)
    page = await client.get("/auth/two-factor")
    assert page.status_code == 429
    assert f">python app.py user reset-2fa {name}</code> in the server's terminal" in page.text
    assert "administrator" not in page.text


# Setting up


async def test_setting_up_leads_from_the_qr_code_to_the_recovery_codes_and_in(house: House, client: httpx.AsyncClient) -> None:
    await come_from_provider(client, next="/?c=1")
    page = await client.get("/auth/two-factor/set-up")
    secret = secret_on(page)
    assert re.findall(r"<h2>(.*?)</h2>", page.text) == [
        "Get an authenticator app", "Add Portico to it", "Type the code that it shows",
    ]  # fmt: skip
    assert '<div class="qr" role="img" aria-label="QR code' in page.text
    assert f'href="otpauth://totp/Portico%20%28127.0.0.1%29:Ada?secret={secret}' in page.text
    assert secret_on(await client.get("/auth/two-factor/set-up")) == secret, "the page may be loaded again"
    wrong = await client.post("/auth/two-factor/set-up", data={"code": house.wrong(secret)})
    assert wrong.status_code == 403
    assert "That code is not right" in alert(wrong)
    assert secret_on(wrong) == secret
    assert not house.auth.factors.enrolled("ada")
    done = await client.post("/auth/two-factor/set-up", data={"code": house.code(secret), "next": "//evil.example"})
    assert done.status_code == 200
    assert len(codes_on(done)) == 10
    assert 'href="/?c=1"' in done.text
    session = house.session(client)
    assert session
    assert session.level == "full"
    assert house.events() == ["second-factor-failed", "totp-added", "recovery-codes-made", "second-factor", "sign-in"]
    assert all(house.auth.recovery.use("ada", code) for code in codes_on(done))


async def test_the_answer_loaded_again_shows_no_codes_and_counts_no_failure(house: House, client: httpx.AsyncClient) -> None:
    await come_from_provider(client)
    secret = secret_on(await client.get("/auth/two-factor/set-up"))
    form = {"code": house.code(secret)}
    await client.post("/auth/two-factor/set-up", data=form)
    assert where(await client.post("/auth/two-factor/set-up", data=form)).startswith("/auth/two-factor/recovery-codes")
    assert not codes_on(await client.get("/auth/two-factor/recovery-codes"))
    assert "second-factor-failed" not in house.events()


async def test_a_changed_app_ends_the_other_sessions_and_forgets_the_browsers(house: House, client: httpx.AsyncClient) -> None:
    old = house.enrol()
    house.auth.recovery.make("ada")
    browser = house.auth.browsers.remember("ada", "")
    other, others = house.auth.sessions.create(ADA), house.auth.sessions.create(BO)
    before = house.enter(client)
    secret = secret_on(await client.get("/auth/two-factor/set-up"))
    assert where(await client.post("/auth/two-factor/set-up", data={"code": house.code(secret)})) == "/auth/account"
    after = house.session(client)
    assert after
    assert after.id == before.id, "what this one holds open goes on"
    assert house.auth.sessions.find(other) is None
    assert house.auth.sessions.find(others)
    assert not house.auth.browsers.knows("ada", browser)
    assert house.auth.recovery.left("ada") == 10, "they stay good"
    house.now.move(minutes=1)
    assert not house.auth.totp.check("ada", house.code(old))
    assert house.auth.totp.check("ada", house.code(secret))


async def test_after_the_last_recovery_code_a_new_app_brings_new_ones(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    house.enter(client)
    secret = secret_on(await client.get("/auth/two-factor/set-up"))
    assert len(codes_on(await client.post("/auth/two-factor/set-up", data={"code": house.code(secret)}))) == 10


# Recovery codes


async def test_a_recovery_code_lets_in_and_asks_whether_the_phone_is_lost(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    codes = house.auth.recovery.make("ada")
    await come_from_provider(client, next="/?c=1")
    page = await client.get("/auth/two-factor?method=recovery")
    assert 'name="method" value="recovery"' in page.text
    assert "Back to the code of your app" in page.text
    wrong = await client.post("/auth/two-factor", data={"method": "recovery", "code": "AAAA"})
    assert wrong.status_code == 403
    assert "Try another one of your list" in alert(wrong)
    answer = await client.post("/auth/two-factor", data={"method": "recovery", "code": codes[0].lower()})
    assert where(answer) == "/auth/two-factor/recovery-code-used?next=%2F%3Fc%3D1"
    page = await client.get(where(answer))
    for part in (
        "Did you lose your phone?",
        "<strong>9</strong> left",
        'href="/?c=1"',
        "/auth/two-factor/set-up?next=%2F%3Fc%3D1",
    ):
        assert part in page.text
    assert house.events() == ["second-factor-failed", "recovery-code-used", "second-factor", "sign-in"]
    assert secret_on(await client.get("/auth/two-factor/set-up")), "who is fresh by this may set up another"


async def test_new_recovery_codes_are_shown_once_in_place_of_the_old(house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    old = house.auth.recovery.make("ada")
    house.enter(client)
    page = await client.get("/auth/two-factor/recovery-codes")
    assert "<strong>10</strong> left" in page.text
    made = await client.post("/auth/two-factor/recovery-codes", data={"next": "/?c=1"})
    assert made.headers["cache-control"] == "no-store"
    assert 'href="/?c=1"' in made.text
    assert not set(codes_on(made)) & set(old)
    assert not house.auth.recovery.use("ada", old[0])
    assert house.auth.recovery.use("ada", codes_on(made)[0])
    assert not codes_on(await client.get("/auth/two-factor/recovery-codes"))
    assert house.events() == ["recovery-codes-made"]


async def test_who_has_no_factor_sets_one_up_before_recovery_codes(house: House, client: httpx.AsyncClient) -> None:
    house.enter(client, method="link")
    for answer in (await client.get("/auth/two-factor/recovery-codes"), await client.post("/auth/two-factor/recovery-codes")):
        assert where(answer).startswith("/auth/two-factor/set-up")
    assert house.auth.recovery.left("ada") == 0


# Taking it off


async def test_the_last_factor_stays_where_one_is_needed(database: Engine, house: House, client: httpx.AsyncClient) -> None:
    house.enrol()
    other = house.auth.sessions.create(ADA)
    house.enter(client)
    refused = await client.post("/auth/two-factor/remove")
    assert refused.status_code == 409
    assert "Add a passkey first" in refused.text
    assert house.auth.totp.has("ada")
    assert house.auth.sessions.find(other)
    add_passkey(database, house)
    browser = house.auth.browsers.remember("ada", "")
    assert where(await client.post("/auth/two-factor/remove")) == "/auth/account"
    assert not house.auth.totp.has("ada")
    assert house.auth.sessions.find(other) is None
    assert not house.auth.browsers.knows("ada", browser)
    assert house.session(client)
    assert house.events() == ["totp-removed"]


@pytest.mark.parametrize(("required", "status"), [(False, 303), (True, 409)])
async def test_the_links_owner_may_take_it_off_where_none_is_needed(database: Engine, required: bool, status: int) -> None:
    house = House(database, link_needs_second_factor=required)
    owner = Account("owner", "Owner", "admin")
    house.auth.sessions.create(owner)
    house.enrol("owner")
    async with house.client() as client:
        house.enter(client, owner, method="link")
        assert (await client.post("/auth/two-factor/remove")).status_code == status
    assert house.auth.totp.has("owner") is required


async def test_taking_off_what_is_not_there_changes_nothing(house: House, client: httpx.AsyncClient) -> None:
    house.enter(client)
    assert where(await client.post("/auth/two-factor/remove")) == "/auth/account"
    assert house.events() == []


# The end of a half session


async def test_when_the_time_is_up_the_sign_in_page_says_so_and_leads_on_to_where_one_was_going(
    house: House, client: httpx.AsyncClient
) -> None:
    secret = house.enrol()
    await come_from_provider(client, next="/?c=1")
    house.now.move(minutes=11)
    answer = await client.post("/auth/two-factor", data={"code": house.code(secret)})
    assert where(answer) == "/auth/sign-in"
    ended = await client.get("/auth/two-factor?next=%2F%3Fc%3D1")  # what the page does by itself
    page = await client.get(where(ended))
    assert "Ten minutes went by before you had finished signing in" in page.text
    await come_from_provider(client, next=httpx.URL(where(ended)).params["next"])
    assert where(await client.post("/auth/two-factor", data={"code": house.code(secret)})) == "/?c=1"


# What stays secret


async def test_nothing_secret_is_in_a_log_an_address_or_the_audit(
    house: House, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await come_from_provider(client)
    secret = secret_on(await client.get("/auth/two-factor/set-up"))
    code = house.code(secret)
    codes = codes_on(await client.post("/auth/two-factor/set-up", data={"code": code}))
    await come_from_provider(client, user="bo")
    client.cookies.clear()
    await come_from_provider(client)
    answer = await client.post("/auth/two-factor", data={"method": "recovery", "code": codes[0], "remember": "on"})
    told = caplog.text + str(house.auth.audit.entries()) + where(answer)
    assert "recovery-code-used: ada, from 127.0.0.1 left=9" in told
    for hidden in (secret, code, codes[0], codes[0].replace("-", ""), *client.cookies.values()):
        assert hidden not in told
    assert BASE not in where(answer)
