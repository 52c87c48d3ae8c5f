"""The second factor, as someone who has the first one would try to get round it: CHECKLIST 20-30."""

from __future__ import annotations

import asyncio
import base64
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, MetaData, select
from starlette.routing import Route

from auth.routes import HALF
from auth.sessions import Account, Session
from auth.store import metadata
from tests.auth.authenticator import Authenticator
from tests.auth.house import ADA, BO, House, alert

PUBLIC = "https://demo.example.com"  # where passkeys work
TIMES = 50
ASKING, SET_UP, CODES = "/auth/two-factor", "/auth/two-factor/set-up", "/auth/two-factor/recovery-codes"
PASSKEY, REMOVE = "/auth/two-factor/passkey", "/auth/two-factor/remove"


class Attacked(House):
    """Ada has an app, a passkey and recovery codes; Bo is about to set up his app."""

    def __init__(self, database: Engine, **options: Any) -> None:
        super().__init__(database, public=PUBLIC, **options)
        self.secret, self.codes, self.device = self.enrol("ada"), self.auth.recovery.make("ada"), Authenticator(PUBLIC)
        registration, challenge = self.auth.passkeys.registration("ada", "Ada", PUBLIC)
        assert self.auth.passkeys.register("ada", "Key", self.device.create(registration), challenge, PUBLIC)
        self.waiting = self.auth.totp.begin("bo", "Bo").secret  # in a session of its own, until Bo comes in

    def enter(self, client: httpx.AsyncClient, account: Account = ADA, level: str = "full", method: str = "google") -> Session:
        session = super().enter(client, account, level, method)
        if account == BO:
            self.waiting = self.auth.totp.begin("bo", "Bo", session_id=session.id).secret
        return session

    def come(self, client: httpx.AsyncClient, way: str) -> Session:
        """Someone who has the first factor stands before the second, on this `way`."""
        if way != "step-up":
            return self.enter(client, BO if way == "enrolment" else ADA, "half")
        session = self.enter(client)
        self.now.move(minutes=16)
        return session

    async def give(self, client: httpx.AsyncClient, way: str, right: bool) -> httpx.Response:
        if way == "passkey":
            options = await client.post(f"{PASSKEY}/options")
            if options.status_code != 200:
                return options
            lies = {} if right else {"client_data": {"challenge": "another"}}
            return await client.post(PASSKEY, data={"answer": self.device.get(options.text, **lies)})
        if way == "recovery":
            return await client.post(ASKING, data={"method": "recovery", "code": self.codes[-1] if right else "A" * 24})
        if way == "enrolment":
            return await client.post(SET_UP, data={"code": self.code(self.waiting) if right else self.wrong(self.waiting)})
        return await client.post(ASKING, data={"code": self.code(self.secret) if right else self.wrong(self.secret)})


WAYS = ("totp", "recovery", "passkey", "step-up", "enrolment")


@pytest.fixture
def house(database: Engine) -> Attacked:
    return Attacked(database)


@pytest.fixture
async def client(house: Attacked) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as made:
        yield made


def race(act: Callable[[], bool]) -> int:
    """How many of two threads that act at once succeed."""
    barrier, answers = threading.Barrier(2), []

    def run() -> None:
        barrier.wait()
        answers.append(act())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    return sum(answers)


def whole_database(database: Engine) -> str:
    """Every value of every table, as text."""
    found = MetaData()
    found.reflect(database)
    assert set(metadata.tables) <= set(found.tables)
    with database.begin() as connection:
        rows = [tuple(row) for table in found.sorted_tables for row in connection.execute(select(table))]
    return repr([bytes(value) if isinstance(value, memoryview) else value for row in rows for value in row])


# 20, 21: what a code is good for


def test_a_code_works_once_when_two_use_it_at_once(any_database: Engine) -> None:
    """CHECKLIST 20: two threads, one code, 50 times: one of them gets in each time."""
    house = House(any_database)
    secret = house.enrol()
    for _ in range(TIMES):
        house.now.move(seconds=30)
        code = house.code(secret)
        assert race(lambda code=code: house.auth.totp.check("ada", code)) == 1  # type: ignore[misc]
        assert not house.auth.totp.check("ada", code)


async def test_a_code_opens_one_session_and_no_second(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 20: who looks over a shoulder and types the same code in another browser stays outside."""
    code = house.code(house.secret)
    house.enter(client, level="half")
    assert (await client.post(ASKING, data={"code": code})).status_code == 303
    async with house.client() as other:
        house.enter(other, level="half")
        assert (await other.post(ASKING, data={"code": code})).status_code == 403
        assert (await other.get("/gradio/")).headers["location"] == ASKING


@pytest.mark.parametrize(("steps", "status"), [(-2, 403), (-1, 303), (0, 303), (1, 303), (2, 403)])
async def test_a_code_may_drift_by_one_step(house: Attacked, client: httpx.AsyncClient, steps: int, status: int) -> None:
    """CHECKLIST 21: a code of the step before or after is taken, of two steps off it is not."""
    house.now.move(minutes=5)
    house.enter(client, level="half")
    assert (await client.post(ASKING, data={"code": house.code(house.secret, steps)})).status_code == status


# 22, 23, 24: guessing


async def test_failures_are_counted_for_the_account_whatever_the_session_or_the_process(database: Engine) -> None:
    """CHECKLIST 22: new sessions, other browsers and a restart forgive nothing: the fifth failure locks."""
    first = Attacked(database)
    for house in (first, first, first, House(database, public=PUBLIC)):
        async with house.client() as client:
            house.enter(client, level="half")
            assert (await client.post(ASKING, data={"code": first.wrong(first.secret)})).status_code == 403
    restarted = House(database, public=PUBLIC)
    async with restarted.client() as client:
        restarted.enter(client, level="half")
        assert (await client.post(ASKING, data={"code": first.wrong(first.secret)})).status_code == 429
    assert restarted.auth.factors.locked_until("ada")
    assert restarted.auth.factors.locked_until("bo") is None


@pytest.mark.parametrize("way", WAYS)
async def test_too_many_failures_end_the_pending_sign_in(house: Attacked, client: httpx.AsyncClient, way: str) -> None:
    """CHECKLIST 22: whichever way it was tried; a full session that is asked anew ends as well."""
    session = house.come(client, way)
    token = client.cookies[house.cookie]
    for _ in range(4):
        assert (await house.give(client, way, right=False)).status_code == 403
    assert (await house.give(client, way, right=False)).status_code == 429
    assert house.auth.sessions.find(token) is None
    assert house.cookie not in client.cookies
    assert house.events().count("locked") == 1
    assert house.auth.factors.locked_until(session.account.id)
    assert (await client.get("/gradio/")).headers["location"].startswith("/auth/sign-in")


@pytest.mark.parametrize("tried", WAYS)
async def test_the_lock_holds_on_every_path(house: Attacked, client: httpx.AsyncClient, tried: str) -> None:
    """CHECKLIST 23: whichever way locked the account, no way takes even a right factor; after 15 minutes each does."""
    house.come(client, tried)
    for _ in range(5):
        await house.give(client, tried, right=False)
    ways = ["enrolment"] if tried == "enrolment" else [way for way in WAYS if way not in ("enrolment", "step-up")]
    for way in ways:
        house.come(client, way)
        assert (await house.give(client, way, right=True)).status_code == 429
        assert (await client.get(SET_UP if way == "enrolment" else ASKING)).status_code == 429
        session = house.session(client)
        assert session
        assert session.level == "half"
    house.now.move(minutes=15)
    for way in ways:
        house.come(client, way)
        answer = await house.give(client, way, right=True)
        assert answer.status_code in (200, 303), answer.text
        house.auth.factors.succeeded("ada")


async def test_the_lock_holds_when_a_full_session_is_asked_anew(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 23: a lock from elsewhere refuses the right factor there too; the session has guessed nothing, and stays."""
    house.come(client, "step-up")
    for _ in range(5):
        house.auth.factors.failed("ada")
    for way in ("totp", "recovery", "passkey"):
        assert (await house.give(client, way, right=True)).status_code == 429
    session = house.session(client)
    assert session
    assert not house.auth.sessions.is_fresh(session)
    assert house.auth.recovery.left("ada") == 10


async def test_right_codes_in_between_do_not_make_room_for_more_guesses_in_a_row(
    house: Attacked, client: httpx.AsyncClient
) -> None:
    """CHECKLIST 22: after a right factor the count begins anew at nothing, and ends at five again."""
    for _ in range(2):
        house.come(client, "totp")
        for _ in range(4):
            assert (await house.give(client, "totp", right=False)).status_code == 403
        house.now.move(seconds=30)
        assert (await house.give(client, "totp", right=True)).status_code == 303
    house.come(client, "totp")
    answers = [(await house.give(client, "totp", right=False)).status_code for _ in range(5)]
    assert answers == [403, 403, 403, 403, 429]


async def test_guesses_at_once_are_no_more_than_guesses_in_a_row(house: Attacked, database: Engine) -> None:
    """CHECKLIST 22: twenty browsers guess together: five guesses are looked at, the others meet the lock."""

    async def guess() -> int:
        async with house.client() as client:
            house.enter(client, level="half")
            return (await house.give(client, "totp", right=False)).status_code

    answers = await asyncio.gather(*(guess() for _ in range(20)))
    assert sorted(answers) == [403] * 4 + [429] * 16
    users = metadata.tables["users"]
    with database.begin() as connection:
        assert connection.execute(select(users.c.failures).where(users.c.id == "ada")).scalar() == 5


async def test_replayed_and_wrong_codes_answer_alike(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 24: wrong, replayed, too old or nonsense: the same status and the same page, to the letter."""
    old, used = house.code(house.secret, -1), house.code(house.secret)
    house.auth.totp.check("ada", used)
    answers = []
    for code in (house.wrong(house.secret), used, old, "nonsense"):
        house.enter(client, level="half")
        answers.append(await client.post(ASKING, data={"code": code}))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert "or it was used already" in alert(answers[0])


async def test_replayed_and_wrong_recovery_codes_answer_alike(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 24: never made, used up, another person's: the same page."""
    house.auth.recovery.use("ada", house.codes[0])
    answers = []
    for code in ("A" * 24, house.codes[0], house.auth.recovery.make("bo")[0]):
        house.enter(client, level="half")
        answers.append(await client.post(ASKING, data={"method": "recovery", "code": code}))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("right", [True, False])
async def test_a_lock_does_not_tell_right_codes_from_wrong_ones(house: Attacked, client: httpx.AsyncClient, right: bool) -> None:
    """CHECKLIST 24: while the account is locked a right code is not even looked at: it stays unused."""
    for _ in range(5):
        house.auth.factors.failed("ada")
    pages = set()
    for given in (right, False):
        house.come(client, "totp")
        pages.add((await house.give(client, "totp", given)).text)
    assert len(pages) == 1
    assert house.auth.totp.check("ada", house.code(house.secret))


# 25, 26, 27: the secret, and who may change it


def test_secrets_have_160_bits(house: Attacked) -> None:
    """CHECKLIST 25: twenty random bytes, other ones for each person and each time."""
    assert len(base64.b32decode(house.secret)) * 8 == 160
    assert len({house.secret, house.waiting, house.enrol("ada")}) == 3


def test_no_secret_can_be_read_in_the_database(any_database: Engine) -> None:
    """CHECKLIST 25: neither a confirmed secret nor one that waits, in any spelling; nor a recovery code."""
    house = Attacked(any_database)
    stored = whole_database(any_database)
    assert "demo" not in stored
    assert "'ada'" in stored, "what is there is found"
    for secret in (house.secret, house.waiting, *house.codes, *(code.replace("-", "") for code in house.codes)):
        assert secret.lower() not in stored.lower()
    for secret in (house.secret, house.waiting):
        assert repr(base64.b32decode(secret))[2:-1] not in stored


def test_no_secret_can_be_read_in_the_raw_file(database: Engine, tmp_path: Path) -> None:
    """CHECKLIST 25: SQLite's files, its write-ahead log included, byte by byte."""
    house = Attacked(database)
    raw = b"".join(file.read_bytes() for file in tmp_path.glob("portico.db*"))
    assert b"ada" in raw
    for secret in (house.secret, house.waiting):
        for spelling in (
            secret.encode(),
            secret.lower().encode(),
            base64.b32decode(secret),
            base64.b32decode(secret).hex().encode(),
        ):
            assert spelling not in raw


async def test_a_secret_is_sealed_with_its_rows_id(database: Engine, house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 25: who can write into the database gives nobody a secret that they know: it is good in its row alone."""
    mallorys = house.enrol("bo")
    with database.begin() as connection:
        table = metadata.tables["totp"]
        sealed = connection.execute(select(table.c.secret).where(table.c.user_id == "bo")).scalar_one()
        connection.execute(table.update().where(table.c.user_id == "ada").values(secret=sealed))
    house.enter(client, level="half")
    assert (await client.post(ASKING, data={"code": house.code(mallorys)})).status_code == 500
    session = house.session(client)
    assert session
    assert session.level == "half"


async def test_a_secret_that_another_session_saw_is_never_the_one_that_counts(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 26: whoever came as far as the first factor and looked at the QR code has nothing when its owner enrols."""
    async with house.client() as thief:
        house.enter(thief, BO, "half")
        seen = house.waiting
        house.enter(client, BO, "half")
        assert house.waiting != seen
        assert (await client.post(SET_UP, data={"code": house.code(seen)})).status_code == 403
        assert (await client.post(SET_UP, data={"code": house.code(house.waiting)})).status_code == 200
    house.now.move(seconds=30)
    assert not house.auth.totp.check("bo", house.code(seen))
    assert house.auth.totp.check("bo", house.code(house.waiting))


async def test_an_app_counts_only_after_a_valid_code(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 26: a secret that was only shown opens nothing and is not asked for; the first code of it makes it one."""
    house.enter(client, BO, "half")
    assert (await client.get(SET_UP)).status_code == 200
    assert not house.auth.factors.enrolled("bo")
    assert (await client.post(ASKING, data={"code": house.code(house.waiting)})).headers["location"].startswith(SET_UP)
    assert (await client.post(SET_UP, data={"code": house.wrong(house.waiting)})).status_code == 403
    assert (await client.post(SET_UP, data={"code": house.code(house.secret)})).status_code == 403, "another's code"
    assert not house.auth.factors.enrolled("bo")
    session = house.session(client)
    assert session
    assert session.level == "half"
    assert (await client.post(SET_UP, data={"code": house.code(house.waiting)})).status_code == 200
    assert house.auth.factors.enrolled("bo")


async def test_an_app_that_waits_does_not_replace_the_one_in_use(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 26: a change begun and left off changes nothing."""
    house.enter(client)
    page = await client.get(SET_UP)
    begun = re.search(r'id="secret">([A-Z2-7 ]+)<', page.text)
    assert begun
    assert not house.auth.totp.check("ada", house.code(begun[1].replace(" ", "")))
    assert house.auth.totp.check("ada", house.code(house.secret))


CHANGES = [
    ("GET", SET_UP),
    ("POST", SET_UP),
    ("GET", CODES),
    ("POST", CODES),
    ("POST", REMOVE),
    ("GET", PASSKEY),
    ("POST", f"{PASSKEY}/new"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("how", ["long ago", "by a remembered browser"])
async def test_factors_are_changed_after_a_fresh_sign_in_alone(
    house: Attacked, client: httpx.AsyncClient, method: str, path: str, how: str
) -> None:
    """CHECKLIST 27: to change, to switch off, to make new recovery codes; a remembered browser is no fresh sign-in."""
    house.enter(client)
    if how == "long ago":
        house.now.move(minutes=15, seconds=1)
    else:
        client.cookies.clear()
        client.cookies.set(f"{house.cookie}-browser", house.auth.browsers.remember("ada", ""), "demo.example.com")
        assert (await client.get("/auth/callback/google")).headers["location"] == "/"
    session = house.session(client)
    assert session
    waiting = house.auth.totp.begin("ada", "Ada", session_id=session.id).secret
    answer = await client.request(method, path, data={"code": house.code(waiting), "next": "/"} if method == "POST" else None)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{ASKING}?next=")
    assert house.auth.totp.check("ada", house.code(house.secret)), "the old app"
    assert house.auth.recovery.use("ada", house.codes[0])
    assert len(house.auth.passkeys.all("ada")) == 1


async def test_a_fresh_code_leads_back_to_the_change(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 27: and after that code it goes on where it was stopped."""
    house.come(client, "step-up")
    asked = (await client.get(CODES)).headers["location"]
    page = await client.get(asked)
    [onward] = re.findall(r'name="next" value="([^"]+)"', page.text)
    answer = await client.post(ASKING, data={"code": house.code(house.secret), "next": onward})
    assert answer.headers["location"].startswith(CODES)
    assert (await client.get(answer.headers["location"])).status_code == 200
    assert (await client.post(CODES)).status_code == 200


async def test_who_has_no_factor_signs_in_again_before_adding_one(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 27: a session that someone left open does not let the next who sits there add a phone of their own."""
    house.enter(client, BO, method="link")
    house.now.move(minutes=16)
    for answer in (await client.get(SET_UP), await client.post(SET_UP, data={"code": house.code(house.waiting)})):
        assert answer.headers["location"].startswith("/auth/sign-in?again&next=")
    assert not house.auth.factors.enrolled("bo")


# 28: recovery codes


def test_recovery_codes_have_120_bits_and_only_their_hash_is_stored(any_database: Engine) -> None:
    """CHECKLIST 28: 24 characters of 32, none of them in the database in any spelling."""
    house = Attacked(any_database)
    stored = whole_database(any_database).lower()
    for code in house.codes:
        plain = code.replace("-", "")
        assert len(base64.b32decode(plain)) * 8 == 120
        assert plain.lower() not in stored
        assert code.lower() not in stored


def test_a_recovery_code_works_once_when_two_use_it_at_once(any_database: Engine) -> None:
    """CHECKLIST 28: two threads, one recovery code, 50 times: one of them gets in each time."""
    house = House(any_database)
    codes: list[str] = []
    for _ in range(TIMES):
        codes = codes or house.auth.recovery.make("ada")
        code = codes.pop()
        assert race(lambda code=code: house.auth.recovery.use("ada", code)) == 1  # type: ignore[misc]
        assert house.auth.recovery.left("ada") == len(codes)


async def test_a_recovery_code_opens_one_session_and_no_second(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 28: used up by the first."""
    form = {"method": "recovery", "code": house.codes[0]}
    house.enter(client, level="half")
    assert (await client.post(ASKING, data=form)).status_code == 303
    house.enter(client, level="half")
    assert (await client.post(ASKING, data=form)).status_code == 403


async def test_left_over_recovery_codes_are_no_second_factor_by_themselves(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 28: when the last factor is gone, they let nobody past setting up a new one."""
    codes = house.auth.recovery.make("bo")
    house.enter(client, BO, "half")
    answer = await client.post(ASKING, data={"method": "recovery", "code": codes[0]})
    assert answer.headers["location"].startswith(SET_UP)
    assert house.auth.recovery.left("bo") == 10


# 29, 30: half signed in


async def test_a_half_session_ends_within_ten_minutes_however_busy_it_is(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 29: nothing that it asks for makes it longer."""
    house.enter(client, level="half")
    for _ in range(9):
        house.now.move(minutes=1)
        assert (await client.get(ASKING)).status_code == 200
    house.now.move(seconds=59)
    assert (await client.get(ASKING)).status_code == 200
    house.now.move(seconds=1)
    assert (await client.get(ASKING)).headers["location"].startswith("/auth/sign-in")
    answer = await client.post(ASKING, data={"code": house.code(house.secret)})
    assert answer.headers["location"].startswith("/auth/sign-in"), "not even with the right code"


INSIDE = ["/", "/?ui=gradio", "/gradio/", "/gradio/config", "/streamlit/", "/compare", "/api/runs", "/auth/account",
          "/auth/admin", "/metrics", "/auth/two-factors", "/auth/two-factor/../account", "/auth/two-factor/%2e%2e/account",
          "//auth/two-factor", "/AUTH/two-factor", "/auth/two-factor/..;/gradio/"]  # fmt: skip


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
async def test_a_half_session_reaches_the_second_factor_pages_alone(
    house: Attacked, client: httpx.AsyncClient, path: str, accept: str
) -> None:
    """CHECKLIST 29, 30: a page leads to the second factor, anything else is refused, by GET and by POST."""
    house.enter(client, level="half")
    url = httpx.URL(PUBLIC, raw_path=path.encode())
    page = await client.get(url, headers={"accept": accept})
    assert (page.status_code, page.headers.get("location")) == ((303, ASKING) if accept == "text/html" else (401, None))
    assert (await client.post(url, headers={"accept": accept})).status_code == 401
    house.enter(client)
    assert (await client.get(url)).text != page.text, "a full session goes in"


@pytest.mark.parametrize("path", ["/streamlit/_stcore/stream", "/gradio/queue", "/", "/auth/account"])
async def test_a_half_session_opens_no_websocket(house: Attacked, client: httpx.AsyncClient, path: str) -> None:
    """CHECKLIST 30: closed with 4401 before it opens; a full one is let in."""
    house.enter(client, level="half")
    assert await websocket(house, client, path) == [{"type": "websocket.close", "code": 4401}]
    house.enter(client)
    assert (await websocket(house, client, path))[0]["type"] == "websocket.accept"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
async def test_the_api_takes_no_session_for_a_token(house: Attacked, client: httpx.AsyncClient, path: str) -> None:
    """CHECKLIST 30: neither a half session's cookie nor its token as a bearer; not even a full one's."""
    for level in ("half", "full"):
        house.enter(client, level=level)
        for headers in ({}, {"authorization": f"Bearer {client.cookies[house.cookie]}"}):
            assert (await client.get(path, headers=headers)).status_code == 401
            assert (await client.post(path, headers=headers)).status_code == 401


async def test_a_half_session_changes_no_factor_of_someone_who_has_one(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 30: every page of the second factor, found by walking, asked with what would be right in a full session."""
    mine = house.auth.passkeys.all("ada")[0].id
    inner: Any = house.app
    while not hasattr(inner, "routes"):
        inner = inner._app
    walked = {
        (method, route.path.replace("{id}", mine))
        for route in inner.routes
        if isinstance(route, Route) and (route.path in HALF or route.path.startswith("/auth/two-factor/"))
        for method in route.methods or ()
    }
    assert set(CHANGES) <= walked
    for method, path in sorted(walked):
        session = house.enter(client, level="half")
        waiting = house.auth.totp.begin("ada", "Ada", session_id=session.id).secret
        form = {"code": house.code(waiting), "name": "Mine", "answer": "{}", "next": "/"}
        answer = await client.request(method, path, data=form if method == "POST" else None)
        session = house.session(client)
        assert session is None or session.level == "half", (method, path)
        if (method, path) in CHANGES:
            assert answer.headers["location"] == ASKING, (method, path)
        house.auth.factors.succeeded("ada")
    assert house.auth.totp.check("ada", house.code(house.secret))
    assert [(one.id, one.name) for one in house.auth.passkeys.all("ada")] == [(mine, "Key")]
    assert house.auth.recovery.left("ada") == 10
    assert house.auth.browsers.all("ada") == []


async def test_the_first_factor_alone_shown_twice_is_no_second(house: Attacked, client: httpx.AsyncClient) -> None:
    """CHECKLIST 30: signing in again in a half session, or in a full one of another person, gives a half session still."""
    house.enter(client, level="half")
    await client.get("/auth/callback/google")
    session = house.session(client)
    assert session
    assert session.level == "half"
    house.enter(client, BO)
    await client.get("/auth/callback/google?user=ada")
    session = house.session(client)
    assert session
    assert (session.account.id, session.level) == ("ada", "half")


async def websocket(house: House, client: httpx.AsyncClient, path: str) -> list[Any]:
    """What the guard sends to a websocket of this browser."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    cookie = f"{house.cookie}={client.cookies[house.cookie]}"
    headers = [(b"host", house.auth.site.host.encode()), (b"origin", PUBLIC.encode()), (b"cookie", cookie.encode())]
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "client": ("127.0.0.1", 5),
    }
    await house.app(scope, receive, send)
    return sent
