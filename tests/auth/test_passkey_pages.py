"""The pages of passkeys behind the guard: who may add, use, rename and remove one, and when."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from auth.passkeys import MOST
from auth.people import OWNER
from auth.routes.passkeys import address
from auth.sessions import Account
from auth.site import Site as Addresses
from tests.auth.authenticator import Authenticator
from tests.auth.site import Site

ORIGIN = "http://localhost:7860"
PASSKEY = "/auth/two-factor/passkey"
ADA = Account("ada", "Ada", "member")


class House(Site):
    """Opened by its name, where passkeys work."""

    def __init__(self, database: Engine, **options: Any) -> None:
        super().__init__(database, ORIGIN, **options)

    def browser(
        self, account: Account = ADA, level: str = "full", method: str = "google", base: str = ORIGIN
    ) -> httpx.AsyncClient:
        client = self.client(peer="127.0.0.1", origin=base)
        client.base_url = httpx.URL(base)
        domain = "localhost.local" if base == ORIGIN else "127.0.0.1"  # as http.cookiejar calls it, for answers to replace it
        client.cookies.set("portico-7860", self.auth.sessions.create(account, level, method), domain)
        return client

    def has(self, account: Account = ADA) -> Authenticator:
        """A device whose passkey is this person's already."""
        self.auth.sessions.create(account)
        device = Authenticator(ORIGIN)
        options, challenge = self.auth.passkeys.registration(account.id, account.name, ORIGIN)
        assert self.auth.passkeys.register(account.id, "Key", device.create(options), challenge, ORIGIN)
        return device

    def has_app(self, account: Account = ADA) -> None:
        import pyotp

        self.auth.sessions.create(account)
        enrolment = self.auth.totp.begin(account.id, account.name, "Portico")
        assert self.auth.totp.confirm(account.id, pyotp.TOTP(enrolment.secret).at(self.now()))


@pytest.fixture
def house(database: Engine) -> House:
    return House(database)


async def add(client: httpx.AsyncClient, device: Authenticator, **fields: str) -> httpx.Response:
    options = await client.post(f"{PASSKEY}/new/options")
    if options.status_code != 200:
        return options
    return await client.post(f"{PASSKEY}/new", data={"answer": device.create(options.text), "name": "Key", **fields})


async def use(client: httpx.AsyncClient, device: Authenticator, **fields: str) -> httpx.Response:
    options = await client.post(f"{PASSKEY}/options")
    if options.status_code != 200:
        return options
    return await client.post(PASSKEY, data={"answer": device.get(options.text), **fields})


async def test_the_first_factor_of_a_half_session_lets_it_in_and_leads_to_the_recovery_codes(house: House) -> None:
    async with house.browser(level="half") as client:
        page = await client.get(PASSKEY)
        assert 'value="Passkey on Linux"' in page.text
        before = client.cookies["portico-7860"]
        answer = await add(client, Authenticator(ORIGIN), name="My phone")
        assert (answer.status_code, answer.headers["location"]) == (303, "/auth/two-factor/recovery-codes?next=%2F")
        assert client.cookies["portico-7860"] != before
        assert house.auth.sessions.find(before) is None
        assert (await client.get("/")).text == "home"
        assert (await client.get(answer.headers["location"])).status_code == 200
    assert [one.name for one in house.auth.passkeys.all("ada")] == ["My phone"]
    assert [one.event for one in house.events()] == ["passkey-added", "second-factor", "sign-in"]


async def test_a_half_session_of_someone_who_has_a_factor_adds_none(house: House) -> None:
    """Whoever has only the first factor must not make themselves the second."""
    house.has()
    async with house.browser(level="half") as client:
        assert (await client.get(PASSKEY)).headers["location"] == "/auth/two-factor"
        options = await client.post(f"{PASSKEY}/new/options")
        assert (options.status_code, options.json()["next"]) == (403, "/auth/two-factor")
        session = house.auth.sessions.find(client.cookies["portico-7860"])
        assert session
        house.auth.sessions.set_challenge(session, b"forced" * 6)
        answer = await client.post(f"{PASSKEY}/new", data={"answer": "{}", "name": "Key"})
        assert answer.headers["location"] == "/auth/two-factor"
        for path in (f"{PASSKEY}/x/rename", f"{PASSKEY}/x/remove"):
            assert (await client.post(path)).headers["location"] == "/auth/two-factor"
    assert len(house.auth.passkeys.all("ada")) == 1


async def test_an_app_too_keeps_a_half_session_from_adding_one(house: House) -> None:
    house.has_app()
    async with house.browser(level="half") as client:
        assert (await client.get(PASSKEY)).headers["location"] == "/auth/two-factor"
        assert (await add(client, Authenticator(ORIGIN))).status_code == 403


async def test_a_session_that_is_not_fresh_is_asked_anew(house: House) -> None:
    """CHECKLIST 27: adding, renaming and removing a passkey need a factor that was shown within 15 minutes."""
    house.has()
    (mine,) = house.auth.passkeys.all("ada")
    async with house.browser() as client:
        house.now.move(minutes=16)
        for path in (PASSKEY, f"{PASSKEY}?next=/auth/account"):
            assert (await client.get(path)).headers["location"].startswith("/auth/two-factor?next=%2Fauth%2Ftwo-factor%2Fpasskey")
        assert (await add(client, Authenticator(ORIGIN))).json()["next"].startswith("/auth/two-factor?next=")
        for path in ("rename", "remove"):
            answer = await client.post(f"{PASSKEY}/{mine.id}/{path}", data={"name": "Changed"})
            assert answer.headers["location"] == "/auth/two-factor?next=%2Fauth%2Faccount"
    assert house.auth.passkeys.all("ada") == [mine]


async def test_guests_add_none(house: House) -> None:
    async with house.browser(Account("guest-1", "Guest", "guest"), method="invitation") as client:
        assert (await client.get(PASSKEY)).status_code == 403
        assert (await add(client, Authenticator(ORIGIN))).status_code == 403


async def test_one_more_ends_the_other_sessions_and_forgets_browsers(house: House) -> None:
    house.has()
    house.auth.recovery.make("ada")
    other = house.auth.sessions.create(ADA)
    browser = house.auth.browsers.remember("ada", "Firefox")
    async with house.browser() as client:
        answer = await add(client, Authenticator(ORIGIN), next="/auth/account")
        assert answer.headers["location"] == "/auth/account", "who has codes keeps them"
        assert (await client.get("/")).text == "home"
    assert house.auth.sessions.find(other) is None
    assert not house.auth.browsers.knows("ada", browser)
    assert house.auth.recovery.left("ada") == 10


async def test_a_passkey_lets_a_half_session_in(house: House) -> None:
    device = house.has()
    async with house.browser(level="half") as client:
        answer = await use(client, device, remember="on")
        assert (answer.status_code, answer.json()) == (200, {"next": "/"})
        assert (await client.get("/")).text == "home"
        assert "portico-7860-browser" in client.cookies
    assert [one.event for one in house.events()] == ["second-factor", "sign-in", "browser-remembered"]


async def test_a_passkey_makes_a_stale_session_fresh_again(house: House) -> None:
    device = house.has()
    async with house.browser() as client:
        house.now.move(minutes=16)
        assert (await client.get(PASSKEY)).status_code == 303
        assert (await use(client, device, next="/auth/account")).json() == {"next": "/auth/account"}
        assert (await client.get(PASSKEY)).status_code == 200
        assert (await use(client, device, next="https://evil.example")).json() == {"next": "/"}


async def test_an_answer_counts_once_and_within_ten_minutes(house: House) -> None:
    device = house.has()
    async with house.browser(level="half") as client:
        assert (await client.post(PASSKEY, data={"answer": "{}"})).status_code == 409, "nothing was begun"
        options = await client.post(f"{PASSKEY}/options")
        answer = device.get(options.text)
        assert (await client.post(PASSKEY, data={"answer": "{}"})).status_code == 403
        assert (await client.post(PASSKEY, data={"answer": answer})).status_code == 409, "its challenge is used up"
    async with house.browser() as client:
        options = await client.post(f"{PASSKEY}/options")
        house.now.move(minutes=11)
        assert (await client.post(PASSKEY, data={"answer": device.get(options.text)})).status_code == 409


async def test_another_sessions_challenge_does_not_count(house: House) -> None:
    device = house.has()
    async with house.browser(level="half") as client, house.browser(level="half") as thief:
        options = await client.post(f"{PASSKEY}/options")
        await thief.post(f"{PASSKEY}/options")
        assert (await thief.post(PASSKEY, data={"answer": device.get(options.text)})).status_code == 403


async def test_wrong_passkeys_lock_the_account_like_any_factor(house: House) -> None:
    """CHECKLIST 23: the lock holds on the passkey's path, for right ones too."""
    device = house.has()
    async with house.browser(level="half") as client:
        for _ in range(4):
            wrong = await use(client, Authenticator(ORIGIN))
            assert wrong.status_code == 403
            assert wrong.json()["error"] == "That passkey was not taken. Try again, or use another way."
        locked = await use(client, Authenticator(ORIGIN))
        assert locked.status_code == 429
        assert locked.json()["error"] == "Too many wrong second factors were given. Try again in 15 minutes."
        assert "portico-7860" not in client.cookies
    async with house.browser(level="half") as client:
        assert (await use(client, device)).status_code == 429
        house.now.move(minutes=5)
        assert (await use(client, device)).status_code == 429
    house.now.move(minutes=11)
    async with house.browser(level="half") as client:
        assert (await use(client, device)).status_code == 200


async def test_while_the_account_is_locked_none_is_added(house: House) -> None:
    """CHECKLIST 23: nor does a new factor open the lock."""
    house.auth.sessions.create(ADA)
    for _ in range(5):
        house.auth.factors.failed("ada")
    async with house.browser(level="half") as client:
        assert (await client.get(PASSKEY)).status_code == 429
        assert (await add(client, Authenticator(ORIGIN))).status_code == 403
    assert not house.auth.passkeys.all("ada")


async def test_a_person_without_a_passkey_is_asked_for_none(house: House) -> None:
    house.has_app()
    async with house.browser(level="half") as client:
        answer = await client.post(f"{PASSKEY}/options")
        assert (answer.status_code, answer.json()["error"]) == (409, "There is no passkey on this account.")


async def test_the_owner_renames_and_removes_theirs_alone(house: House) -> None:
    house.has()
    house.has()
    house.has(OWNER)
    (theirs,) = house.auth.passkeys.all("owner")
    first, second = house.auth.passkeys.all("ada")
    async with house.browser() as client:
        for one in (theirs, first):
            await client.post(f"{PASSKEY}/{one.id}/rename", data={"name": "Laptop"})
            answer = await client.post(f"{PASSKEY}/{one.id}/remove")
            assert answer.headers["location"].startswith("/auth/account")
        await client.post(f"{PASSKEY}/{second.id}/rename", data={"name": "Laptop"})
    assert house.auth.passkeys.all("owner") == [theirs]
    assert [one.name for one in house.auth.passkeys.all("ada")] == ["Laptop"]
    assert [one.event for one in house.events()] == ["passkey-removed"]


async def test_removing_one_ends_the_other_sessions(house: House) -> None:
    house.has()
    house.has()
    other = house.auth.sessions.create(ADA)
    async with house.browser() as client:
        await client.post(f"{PASSKEY}/{house.auth.passkeys.all('ada')[0].id}/remove")
        assert (await client.get("/")).text == "home"
    assert house.auth.sessions.find(other) is None


async def test_the_last_factor_of_one_who_needs_one_stays(house: House) -> None:
    house.has()
    (mine,) = house.auth.passkeys.all("ada")
    async with house.browser() as client:
        answer = await client.post(f"{PASSKEY}/{mine.id}/remove")
        assert answer.status_code == 409
        assert "your only second factor" in answer.text
        house.has_app()
        assert (await client.post(f"{PASSKEY}/{mine.id}/remove")).status_code == 303
    assert not house.auth.passkeys.all("ada")


async def test_the_owner_on_this_machine_may_do_without(house: House) -> None:
    house.has(OWNER)
    (mine,) = house.auth.passkeys.all("owner")
    async with house.browser(OWNER, method="link") as client:
        assert (await client.post(f"{PASSKEY}/{mine.id}/remove")).status_code == 303
    assert not house.auth.factors.enrolled("owner")


async def test_at_an_address_without_a_name_there_is_a_sentence_and_the_way_out(house: House) -> None:
    async with house.browser(base="http://127.0.0.1:7860") as client:
        page = await client.get(PASSKEY)
        assert "Passkeys do not work at" in page.text
        assert ORIGIN in page.text
        assert "<script>" not in page.text
        assert (await client.post(f"{PASSKEY}/new/options")).status_code == 409
        house.has()
        assert (await client.post(f"{PASSKEY}/options")).status_code == 409


def test_where_passkeys_work() -> None:
    assert address(Addresses.of("https://demo.example.com", 7860), here=True) == "https://demo.example.com"
    assert address(Addresses.of("http://127.0.0.1:7860", 7860), here=True) == ORIGIN
    assert address(Addresses.of("http://192.0.2.7:7860", 7860), here=False) == "", "localhost is another machine there"


async def test_a_mangled_or_huge_answer_is_said_on_the_page_and_the_name_is_kept(house: House) -> None:
    async with house.browser() as client:
        for broken in ("{}", "x" * 30_000):
            await client.post(f"{PASSKEY}/new/options")
            answer = await client.post(f"{PASSKEY}/new", data={"name": "Ring <b>", "answer": broken})
            assert (answer.status_code, "could not be added" in answer.text) == (400, True)
        assert 'value="Ring &lt;b&gt;"' in (await client.post(f"{PASSKEY}/new", data={"name": "Ring <b>", "answer": ""})).text


async def test_ten_are_the_most(house: House) -> None:
    for _ in range(MOST):
        house.has()
    async with house.browser() as client:
        assert "You have 10 passkeys, and that is the most" in (await client.get(PASSKEY)).text
        assert (await add(client, Authenticator(ORIGIN))).status_code == 400


async def test_options_name_the_account_as_its_owner_knows_it(house: House) -> None:
    house.add(ADA, "ada@example.com")
    async with house.browser() as client:
        options = json.loads((await client.post(f"{PASSKEY}/new/options")).text)
        assert options["user"]["name"] == "ada@example.com"
    async with house.browser(OWNER, method="link") as client:
        assert json.loads((await client.post(f"{PASSKEY}/new/options")).text)["user"]["name"] == "Owner (localhost)"


async def test_nothing_of_it_answers_without_a_session_or_to_another_site(house: House) -> None:
    async with house.client() as client:
        assert (await client.post(f"{PASSKEY}/options", headers={"accept": "*/*"})).status_code == 401
    async with house.browser() as client:
        answer = await client.post(f"{PASSKEY}/new/options", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
