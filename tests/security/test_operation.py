"""The audit log and the start-up link: CHECKLIST 51 and 52."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest
from sqlalchemy import Engine, MetaData, select

from auth.audit import EVENTS
from auth.invitations import Invitation
from auth.links import LIFETIME
from auth.people import OWNER
from auth.sessions import Account
from tests.auth.authenticator import Authenticator
from tests.auth.site import GOOGLE, Site, join, link_of
from tests.support.auth import ScriptedModels

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://localhost:7860"  # where passkeys work
TIMES = 50
ADA = Account("ada", "Ada", "member")
TWO_FACTOR, ACCOUNT, ADMIN = "/auth/two-factor", "/auth/account", "/auth/admin"


# 51: an audit row for each event, no secrets.


def literals() -> dict[str, set[str]]:
    """The text constants of each file that may write to the log."""
    files = [*(ROOT / "auth").rglob("*.py"), *ROOT.glob("*.py")]
    found = {}
    for file in files:
        if file.name != "audit.py":
            tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            found[file.name] = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def recorded() -> set[str]:
    """The event names that calls of `record(...)` spell out."""
    found: set[str] = set()
    for file in (ROOT / "auth").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "record":
                event = [one for one in node.args[:2] if isinstance(one, ast.Constant) and one.value]
                found |= {str(one.value) for one in event[:1]}
    return found


def test_each_event_of_the_log_is_written_somewhere_and_no_other_is() -> None:
    """CHECKLIST 51: each event that there is has code that writes it."""
    named = set().union(*literals().values())
    assert set(EVENTS) - named == set()
    assert len(recorded()) > 20
    assert recorded() - set(EVENTS) == set()


class Story(Site):
    """A site on which everything happens that the log knows; `secrets` is all that was secret on the way."""

    def __init__(self, database: Engine) -> None:
        super().__init__(database, ORIGIN, models=ScriptedModels(), providers=[GOOGLE])
        self.database = database
        self.secrets: set[str] = {GOOGLE.client_secret, *self.auth.options.secrets}

    def browser(self) -> httpx.AsyncClient:
        """One on this machine that keeps its cookies; each that it is given is a secret."""

        async def keep(answer: httpx.Response) -> None:
            self.secrets |= {
                found for line in answer.headers.get_list("set-cookie") for found in re.findall(r"=([\w-]{43});", line)
            }

        client = self.client(peer="127.0.0.1", origin=ORIGIN)
        client.base_url = httpx.URL(ORIGIN)
        client.event_hooks = {"response": [keep]}
        return client

    def secret(self, *texts: str) -> str:
        self.secrets |= set(texts)
        return texts[0]

    async def sign_in(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/auth/link", data={"token": self.secret(self.auth.links.create())})

    async def enrol(self, client: httpx.AsyncClient, account: Account) -> str:
        """Set up an app through the pages; its secret."""
        await client.get(f"{TWO_FACTOR}/set-up")
        session = self.auth.sessions.find(client.cookies[self.auth.site.cookie(urlsplit(ORIGIN).netloc).name])
        assert session
        key = self.secret(self.auth.totp.begin(account.id, account.name, session_id=session.id).secret)
        page = await client.post(f"{TWO_FACTOR}/set-up", data={"code": self.code(key)})
        assert page.status_code == 200, page.headers
        codes = re.findall(r"\b(?:[0-9A-Za-z]{4}-){3,}[0-9A-Za-z]{4}\b", page.text)
        assert len(set(codes)) == 10
        self.secret(*codes)
        return key

    def code(self, key: str) -> str:
        self.now.move(seconds=30)
        return self.secret(pyotp.TOTP(key).at(self.now()))


@pytest.fixture
def story(database: Engine, caplog: pytest.LogCaptureFixture) -> Story:
    caplog.set_level("DEBUG")
    return Story(database)


async def factors(story: Story, client: httpx.AsyncClient) -> str:
    """The owner sets up, uses and removes factors; the key of the app."""
    key = await story.enrol(client, OWNER)
    device = Authenticator(ORIGIN)
    options = await client.post(f"{TWO_FACTOR}/passkey/new/options")
    story.secret(options.json()["challenge"])
    await client.post(f"{TWO_FACTOR}/passkey/new", data={"answer": device.create(options.text), "name": "Key"})
    [passkey] = story.auth.passkeys.all("owner")
    await client.post(f"{TWO_FACTOR}/passkey/{passkey.id}/remove")
    page = await client.post(f"{TWO_FACTOR}/recovery-codes")
    codes = re.findall(r"\b(?:[0-9A-Za-z]{4}-){3,}[0-9A-Za-z]{4}\b", page.text)
    story.secret(*codes)
    await client.post("/auth/sign-out")
    await story.sign_in(client)
    await client.post(TWO_FACTOR, data={"code": story.secret("000000" if story.code(key) != "000000" else "111111")})
    await client.post(TWO_FACTOR, data={"code": story.code(key), "remember": "on"})
    async with story.browser() as other:
        await story.sign_in(other)
        await other.post(TWO_FACTOR, data={"method": "recovery", "code": codes[0]})
        assert (await other.get("/")).text == "home"
    return key


async def account(story: Story, client: httpx.AsyncClient) -> None:
    """What the account page does, but for the factors."""
    others = [one for one in story.auth.sessions.of_user("owner") if one.method == "link"]
    here = story.auth.sessions.find(next(cookie.value or "" for cookie in client.cookies.jar if cookie.name == "portico-7860"))
    assert here
    await client.post(f"{ACCOUNT}/sessions/{next(one.id for one in others if one.id != here.id)}/end")
    await client.post(f"{ACCOUNT}/sessions/end-others")
    await client.post(f"{ACCOUNT}/browsers/forget-all")
    page = await client.post(f"{ACCOUNT}/tokens", data={"name": "script", "days": "7", "scope-chat": "on"})
    story.secret(*re.findall(r"portico_[\w-]{43}", page.text))
    [token] = story.auth.tokens.all("owner")
    await client.post(f"{ACCOUNT}/tokens/{token.id}/revoke")
    await client.post(f"{ACCOUNT}/export")


async def administration(story: Story, client: httpx.AsyncClient) -> None:
    """Everything that an admin does, to Ada and with guests."""
    await client.post(f"{ADMIN}/invitations", data={"email": "dee@example.com", "role": "member", "days": "7"})
    given = {"name": "Demo", "seats": "3", "quota": "7", "lifetime": "hour"}
    token = story.secret(link_of(await client.post(f"{ADMIN}/invitations/link", data=given)))
    async with story.browser() as guest:
        await join(guest, token, "Zoë")
    made = story.auth.invitations.find(token)
    assert isinstance(made, Invitation)
    await client.post(f"{ADMIN}/invitations/{made.id}/revoke")
    async with story.browser() as guest:
        await join(guest, token)
    await client.post(f"{ADMIN}/people/ada/role", data={"role": "admin"})
    for action in ("reset", "sign-out", "shut-out", "let-in", "delete"):
        await client.post(f"{ADMIN}/people/ada/{action}")
    await client.post(f"{ADMIN}/models", data={"reference": "org/other"})
    for action in ("unload", "remove"):
        await client.post(f"{ADMIN}/models/{action}", data={"name": "other"})
    await client.get(f"{ADMIN}/audit.csv")


async def lock(story: Story) -> None:
    """Ada comes in, sets up her app, and later on types wrong codes until she is locked out."""
    async with story.browser() as ada:
        ada.cookies.set("portico-7860", story.secret(story.auth.sessions.create(ADA)), "localhost.local")
        await story.enrol(ada, ADA)
        story.now.move(minutes=16)
        while story.auth.factors.locked_until("ada") is None:
            await ada.post(TWO_FACTOR, data={"code": "not it"})


async def everything(story: Story) -> None:
    async with story.browser() as client:
        await client.post("/auth/link", data={"token": story.secret("a link that was never made")})
        await story.sign_in(client)
        await lock(story)
        await story.sign_in(client)  # time went by; what follows needs a fresh session
        await factors(story, client)
        await account(story, client)
        await administration(story, client)
        await client.post(f"{TWO_FACTOR}/remove")


async def test_each_act_writes_its_row_and_no_secret_is_in_any(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    """CHECKLIST 51: all that can happen happens; each row says who, from where and when, and nothing tells a secret."""
    await everything(story)
    rows = story.events()
    assert {one.event for one in rows} == set(EVENTS)
    assert all(one.address == "127.0.0.1" and one.agent and one.at <= story.now() for one in rows)
    assert all(one.actor_id for one in rows if one.event != "sign-in-refused")
    about = {one.event: one for one in rows}
    for event in ("role-changed", "factors-reset", "signed-out-everywhere", "user-disabled", "user-enabled", "user-deleted"):
        assert (about[event].actor_id, about[event].subject_id, about[event].details["name"]) == ("owner", "ada", "Ada")
    assert len(story.secrets) > 50
    told = "\n".join(map(str, rows)) + caplog.text
    assert [secret for secret in story.secrets if secret in told] == []
    async with story.browser() as client:
        client.cookies.set("portico-7860", story.auth.sessions.create(OWNER), "localhost.local")
        told = (await client.get(f"{ADMIN}/audit.csv")).text + (await client.get(f"{ADMIN}/audit")).text
    assert "Someone was shut out" in told
    assert [secret for secret in story.secrets if secret in told] == []


async def test_no_change_of_the_pages_goes_unwritten(story: Story) -> None:
    """CHECKLIST 51: an admin's refused change writes nothing, so that each row is something that happened."""
    story.add(ADA)
    async with story.browser() as client:
        await story.sign_in(client)
        before = len(story.events())
        for path in (
            "people/owner/delete",
            "people/owner/shut-out",
            "people/ada/let-in",
            "people/nobody/reset",
            "invitations/x/revoke",
        ):
            await client.post(f"{ADMIN}/{path}")
        await client.post(f"{ADMIN}/people/ada/role", data={"role": "root"})
        await client.post(f"{ADMIN}/invitations/link", data={"name": "", "seats": "0", "lifetime": "hour"})
    assert len(story.events()) == before


async def test_the_log_is_for_admins_alone_and_nothing_deletes_from_it(story: Story) -> None:
    """CHECKLIST 51: whoever is written about can neither read the log nor thin it out, nor does their account's end."""
    story.add(ADA)
    async with story.client(ADA, origin=ORIGIN) as ada:
        for path in ("audit", "audit.csv"):
            assert (await ada.get(f"{ADMIN}/{path}")).status_code == 403
    async with story.browser() as client:
        await story.sign_in(client)
        await client.post(f"{ADMIN}/people/ada/shut-out")
        before = len(story.events())
        await client.post(f"{ADMIN}/people/ada/delete")
        for method in ("POST", "DELETE", "PUT", "PATCH"):
            assert (await client.request(method, f"{ADMIN}/audit")).status_code == 405
    assert len(story.events()) == before + 1
    statements = re.findall(r"(?:delete|update)\(\s*audit\b", "".join(file.read_text() for file in (ROOT / "auth").rglob("*.py")))
    assert statements == []


# 52: the start-up link.


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database)


@pytest.fixture
async def here(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client(peer="127.0.0.1") as made:
        yield made


async def use(client: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await client.post("/auth/link", data={"token": token}, headers=headers)


async def test_the_link_shows_a_button_and_getting_it_uses_nothing_up(site: Site, here: httpx.AsyncClient) -> None:
    """CHECKLIST 52: what fetches a link to preview it signs nobody in; its token never reaches the server by a GET."""
    token = site.auth.links.create()
    for method in ("GET", "GET", "HEAD"):
        page = await here.request(method, "/auth/link")
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
    page = await here.get("/auth/link", params={"token": token})
    assert page.text.count("<button>") == 1
    assert "<form method" in page.text
    assert "set-cookie" not in page.headers
    assert token not in page.text
    assert (await use(here, token)).status_code == 303


async def test_a_post_uses_the_link_up(site: Site, here: httpx.AsyncClient) -> None:
    """CHECKLIST 52: it works once; used, wrong, empty and late tokens answer alike."""
    token, late = site.auth.links.create(), "x" * 43
    assert (await use(here, token)).headers["location"] == "/"
    answers = []
    for one in (token, late, "", "x" * 19_000):
        async with site.client(peer="127.0.0.1") as stranger:
            answers.append(await use(stranger, one))
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_the_link_expires_and_a_newer_one_ends_it(site: Site, here: httpx.AsyncClient) -> None:
    """CHECKLIST 52: it is good for 15 minutes, and one is good at a time."""
    assert LIFETIME.total_seconds() == 15 * 60
    late = site.auth.links.create()
    site.now.move(minutes=15)
    assert (await use(here, late)).status_code == 403
    old, new = site.auth.links.create(), site.auth.links.create()
    assert (await use(here, old)).status_code == 403
    site.now.move(minutes=14)
    assert (await use(here, new)).status_code == 303


NEAR, FAR = {"x-forwarded-for": "127.0.0.1"}, {"x-forwarded-for": "203.0.113.9"}
LOCAL_PROXY, REMOTE_PROXY = ("127.0.0.0/8",), ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("peer", "headers", "trusted", "works"),
    [
        ("127.0.0.1", {}, (), True),
        ("127.8.9.1", {}, (), True),
        ("::1", {}, (), True),
        ("192.0.2.7", {}, (), False),
        ("192.0.2.7", NEAR, (), False),
        ("192.0.2.7", {"x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"}, (), False),
        # A proxy on this machine, of which Portico was not told, forwards for anyone.
        ("127.0.0.1", FAR, (), False),
        ("127.0.0.1", NEAR, (), False),
        ("127.0.0.1", {"x-forwarded-host": "localhost"}, (), False),
        ("127.0.0.1", {"x-forwarded-proto": "https"}, (), False),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, (), False),
        ("127.0.0.1", {"x-real-ip": "127.0.0.1"}, (), False),
        # One that is trusted says for whom.
        ("127.0.0.1", FAR, LOCAL_PROXY, False),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1, 203.0.113.9"}, LOCAL_PROXY, False),
        ("127.0.0.1", {"x-forwarded-for": "nonsense"}, LOCAL_PROXY, False),
        ("127.0.0.1", NEAR, LOCAL_PROXY, True),
        ("10.0.0.1", NEAR, REMOTE_PROXY, False),
        ("10.0.0.1", FAR, REMOTE_PROXY, False),
    ],
)
async def test_the_link_works_from_this_machine_alone(
    database: Engine, peer: str, headers: dict[str, str], trusted: tuple[str, ...], works: bool
) -> None:
    """CHECKLIST 52: loopback peers only, also behind a local proxy that adds X-Forwarded-For; a refusal uses nothing up."""
    site = Site(database, trusted_proxies=trusted)
    token = site.auth.links.create()
    async with site.client(peer=peer) as client:
        answer = await use(client, token, **headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == ((303, True) if works else (403, False))
        printed = await client.post("/auth/sign-in", headers=headers)
        assert (printed.status_code, site.printed) == ((303, 1) if works else (403, 0))
    assert site.auth.links.use(token) is not works


def test_two_who_open_the_link_at_once_are_one_owner(any_database: Engine) -> None:
    """CHECKLIST 52: once even under a race, 50 times, through the page, on SQLite and PostgreSQL."""
    for _ in range(TIMES):
        site = Site(any_database)
        token, together = site.auth.links.create(), threading.Barrier(2)
        answers: list[httpx.Response] = []

        async def post(site: Site = site, token: str = token, together: threading.Barrier = together) -> httpx.Response:
            async with site.client(peer="127.0.0.1") as client:
                together.wait()
                return await use(client, token)

        def run(post: Any = post, answers: list[httpx.Response] = answers) -> None:
            answers.append(asyncio.run(post()))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in answers) == [303, 403]
        assert ["set-cookie" in answer.headers for answer in sorted(answers, key=lambda one: one.status_code)] == [True, False]
    found = MetaData()
    found.reflect(any_database)
    with any_database.begin() as connection:
        assert len(connection.execute(select(found.tables["sessions"])).all()) == TIMES


async def test_no_link_stands_in_a_log_or_in_the_database(
    site: Site, here: httpx.AsyncClient, database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """CHECKLIST 52: its token is in the fragment, which is not sent, and only its hash is kept."""
    caplog.set_level("DEBUG")
    token = site.auth.links.create()
    await here.get("/auth/link")
    await use(here, "wrong")
    await use(here, token)
    await use(here, token)
    found = MetaData()
    found.reflect(database)
    with database.begin() as connection:
        rows = str([connection.execute(select(table)).all() for table in found.tables.values()])
    assert token not in rows
    assert token not in caplog.text
