"""The admin pages: who may open them, and people. Invitations and the audit log have files of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine

from auth.people import OWNER, Admission, Person
from auth.routes.admin_acts import allowed
from auth.sessions import FRESH, Account
from tests.auth.site import GOOGLE, Site, join

ADA = Account("ada", "Ada", "member")
BO = Account("bo", "Bo", "admin")
PEOPLE = "/auth/admin/people"
INVITATIONS = "/auth/admin/invitations"
LINK = {"name": "Demo", "seats": "3", "quota": "7", "lifetime": "hour"}


@pytest.fixture
def site(database: Engine) -> Site:
    made = Site(database, providers=[GOOGLE], admission=Admission(admins=frozenset({"bo@example.com"})))
    made.add(OWNER)
    made.add(ADA, "ada@example.com")
    made.add(BO, "bo@example.com")
    return made


@pytest.fixture
async def owner(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.owner() as made:
        yield made


def person(site: Site, user: str) -> Person:
    found = site.auth.people.find(user)
    assert found is not None
    return found


def enrol(site: Site, user: str) -> str:
    """Give someone a second factor (a recovery code is as good as any here), and the code."""
    from auth.store import new_id, totp

    row = {"id": new_id(), "user_id": user, "session_id": "", "secret": b"x", "last_step": 0, "created_at": site.now()}
    with site.auth.people._engine.begin() as connection:
        connection.execute(totp.insert().values(row | {"confirmed_at": site.now()}))
    return site.auth.recovery.make(user)[0]


GETS = (
    "", "/people/ada", "/people/ada/delete", "/invitations", "/invitations/x/revoke", "/audit", "/audit.csv",
    "/people/ada/reset", "/people/ada/shut-out",
)  # fmt: skip
POSTS = (
    "/people/ada/role", "/people/ada/reset", "/people/ada/sign-out", "/people/ada/shut-out", "/people/ada/let-in",
    "/people/ada/delete", "/invitations", "/invitations/link", "/invitations/x/revoke",
)  # fmt: skip
GIVEN = {**LINK, "email": "dee@example.com", "role": "admin", "days": "7"}


async def test_the_pages_are_for_admins_alone(site: Site) -> None:
    async with site.client(ADA) as member, site.client() as stranger:
        for path in GETS:
            answer = await member.get("/auth/admin" + path)
            assert answer.status_code == 403, path
            assert "for administrators" in answer.text
            assert (await stranger.get("/auth/admin" + path)).headers["location"].startswith("/auth/sign-in?next="), path
        for path in POSTS:
            assert (await member.post("/auth/admin" + path, data=GIVEN)).status_code == 403, path
            assert (await stranger.post("/auth/admin" + path, data=GIVEN)).headers["location"].startswith("/auth/sign-in"), path
    assert site.auth.invitations.all() == []
    assert person(site, "ada").role == "member"
    assert site.events() == []


async def test_every_change_asks_for_a_fresh_factor_at_its_page_and_at_its_post(site: Site, owner: httpx.AsyncClient) -> None:
    site.now.move(seconds=FRESH.total_seconds() + 1)
    for path in GETS[1:5] + GETS[6:]:
        answer = await owner.get("/auth/admin" + path)
        assert answer.headers["location"].startswith("/auth/sign-in?again&next=%2Fauth%2Fadmin"), path
    for path in POSTS:
        answer = await owner.post("/auth/admin" + path, data=GIVEN)
        assert answer.headers["location"].startswith("/auth/sign-in?again&next=%2Fauth%2Fadmin"), path
    assert site.auth.invitations.all() == []
    assert person(site, "ada").role == "member"
    assert {one.event for one in site.events()} == set()
    enrol(site, "owner")
    assert (await owner.get(INVITATIONS)).headers["location"] == "/auth/two-factor?next=%2Fauth%2Fadmin%2Finvitations"
    assert (await owner.get("/auth/admin")).status_code == 200, "to look at the list changes nothing"
    assert (await owner.get("/auth/admin/audit")).status_code == 200


@pytest.mark.parametrize(
    ("path", "form", "kept"),
    [
        (INVITATIONS, {"email": "dee+x@example.com", "role": "admin", "days": "30"}, ["dee+x@example.com", 'value="30"']),
        (INVITATIONS + "/link", {**LINK, "name": "Café & <b>"}, ["Café &amp; &lt;b&gt;", 'value="3"', '"hour" selected']),
        (PEOPLE + "/ada/role", {"role": "admin"}, ['"admin" selected']),
    ],
)
async def test_what_was_typed_is_there_again_after_the_factor(
    site: Site, owner: httpx.AsyncClient, path: str, form: dict[str, str], kept: list[str]
) -> None:
    site.now.move(seconds=FRESH.total_seconds() + 1)
    code = enrol(site, "owner")
    asked = await owner.post(path, data=form)
    target = httpx.URL(asked.headers["location"]).params["next"]
    given = {"method": "recovery", "code": code, "next": target}
    back = await owner.post("/auth/two-factor", data=given)
    page = await owner.get(httpx.URL(back.headers["location"]).params["next"])
    assert page.status_code == 200
    for text in kept:
        assert text in page.text


@pytest.mark.parametrize(
    ("admin", "user", "role", "disabled", "actions"),
    [
        ("me", "ada", "member", False, {"role", "reset", "sign-out", "shut-out", "delete"}),
        ("me", "ada", "admin", True, {"role", "reset", "sign-out", "let-in", "delete"}),
        ("me", "me", "admin", False, {"role"}),
        ("me", "owner", "admin", False, {"reset", "sign-out"}),
        ("owner", "owner", "admin", False, set()),
        ("me", "guest-1", "guest", False, {"delete"}),
    ],
)
def test_what_an_admin_may_do_to_whom(admin: str, user: str, role: str, disabled: bool, actions: set[str]) -> None:
    assert allowed(admin, Person(user, "", "", role, datetime.now(UTC), disabled)) == actions


async def test_a_page_shows_what_may_be_done_and_a_post_does_no_more(site: Site, owner: httpx.AsyncClient) -> None:
    async with site.client(BO) as bo:
        page = (await bo.get(f"{PEOPLE}/owner")).text
        assert "Reset the second factor" in page
        assert "Delete" not in page
        for user, action in (
            ("owner", "role"), ("owner", "delete"), ("owner", "shut-out"), ("bo", "delete"), ("bo", "reset"), ("bo", "shut-out"),
            ("ada", "let-in"), ("ada", "__init__"), ("ada", "_close"),
        ):  # fmt: skip
            answer = await bo.post(f"{PEOPLE}/{user}/{action}", data={"role": "member"})
            assert answer.status_code == 403, (user, action)
        assert (await bo.get(f"{PEOPLE}/owner/delete")).status_code == 403
    assert {one.id for one in site.auth.people.all()} == {"owner", "ada", "bo"}
    assert (person(site, "owner").role, person(site, "bo").disabled) == ("admin", False)
    assert site.events() == []
    for path in (f"{PEOPLE}/nobody", f"{PEOPLE}/nobody/delete", f"{PEOPLE}/ada@example.com", f"{PEOPLE}/%00"):
        assert (await owner.get(path)).status_code == 404, path
    assert (await owner.post(f"{PEOPLE}/nobody/delete")).status_code == 404


async def test_the_list_finds_people_and_tells_about_them(site: Site, owner: httpx.AsyncClient) -> None:
    enrol(site, "ada")
    site.auth.sessions.create(ADA)
    site.auth.people.set_disabled("bo", True)
    everyone = (await owner.get("/auth/admin")).text
    assert "3 people." in everyone
    assert "shut out" in everyone
    one = (await owner.get("/auth/admin?q=ADA@ex")).text
    assert "1 person found." in one
    assert ">Ada</a>" in one
    assert ">Yes</td>" in one
    assert "just now" in one
    admins = (await owner.get("/auth/admin?role=admin")).text
    assert ">Bo</a>" in admins
    assert ">Ada</a>" not in admins
    assert "Nobody matches" in (await owner.get("/auth/admin", params={"q": "100%"})).text
    assert (await owner.get("/auth/admin", params={"q": "\0'; --", "page": "9" * 30, "role": "x"})).status_code == 200


async def test_the_list_goes_on_over_pages(site: Site, owner: httpx.AsyncClient) -> None:
    made, _ = site.auth.invitations.open_link("Demo", 100, None, "owner", site.now() + timedelta(hours=1))
    for number in range(60):
        site.now.move(seconds=1)
        site.auth.people.add_guest(f"Guest {number}", made.id, None)
    first = (await owner.get("/auth/admin?role=guest&q=guest")).text
    assert "60 people found" in first
    assert ">Guest 59</a>" in first
    assert ">Guest 9</a>" not in first
    assert "/auth/admin?q=guest&amp;role=guest&amp;page=2" in first
    second = (await owner.get("/auth/admin?q=guest&role=guest&page=2")).text
    assert ">Guest 9</a>" in second
    assert "page=1" in second
    assert "page=3" not in second


async def test_what_people_call_themselves_is_escaped(site: Site, owner: httpx.AsyncClient) -> None:
    site.add(Account("eve", "<script>alert(1)</script>", "member"))
    for path in ("/auth/admin", f"{PEOPLE}/eve", f"{PEOPLE}/eve/delete", "/auth/admin?q=%22%3E%3Cscript%3Ealert(1)"):
        page = await owner.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text


async def test_a_role_is_changed_at_once_and_written_down(site: Site, owner: httpx.AsyncClient) -> None:
    async with site.client(ADA) as ada:
        assert (await ada.get("/auth/admin")).status_code == 403
        done = await owner.post(f"{PEOPLE}/ada/role", data={"role": "admin"})
        assert done.headers["location"] == f"{PEOPLE}/ada?done=role"
        assert "The role is changed" in (await owner.get(done.headers["location"])).text
        assert (await ada.get("/auth/admin")).status_code == 200
        await owner.post(f"{PEOPLE}/ada/role", data={"role": "member"})
        assert (await ada.get("/auth/admin")).status_code == 403
    assert [(one.subject_id, one.details["role"]) for one in site.events("role-changed")] == [("ada", "admin"), ("ada", "member")]
    for role in ("guest", "root", ""):
        assert (await owner.post(f"{PEOPLE}/ada/role", data={"role": role})).status_code == 409


async def test_the_last_admin_stays_one(site: Site) -> None:
    """The owner counts once they have signed in: their link makes them an admin whenever it is used."""
    site.auth.people.delete("owner")
    async with site.client(BO) as bo:
        refused = await bo.post(f"{PEOPLE}/bo/role", data={"role": "member"})
        assert refused.status_code == 409
        assert "Make someone else an admin first" in refused.text
        await bo.post(f"{PEOPLE}/ada/role", data={"role": "admin"})
        left = await bo.post(f"{PEOPLE}/bo/role", data={"role": "member"})
        assert left.headers["location"] == "/", "these pages are closed to them now"
        assert (await bo.get("/auth/admin")).status_code == 403


async def test_who_the_settings_name_is_said_to_become_an_admin_again(owner: httpx.AsyncClient) -> None:
    assert "The settings name this person" in (await owner.get(f"{PEOPLE}/bo")).text
    assert "The settings name this person" not in (await owner.get(f"{PEOPLE}/ada")).text


async def test_a_reset_removes_every_factor_and_signs_out_everywhere(site: Site, owner: httpx.AsyncClient) -> None:
    enrol(site, "ada")
    browser = site.auth.browsers.remember("ada", "Firefox")
    while not site.auth.factors.failed("ada"):
        pass
    assert "locked" in (await owner.get(f"{PEOPLE}/ada")).text
    async with site.client(ADA) as ada:
        assert (await owner.post(f"{PEOPLE}/ada/reset")).status_code == 303
        assert (await ada.get("/")).status_code == 303
    assert not site.auth.factors.enrolled("ada")
    assert site.auth.recovery.left("ada") == 0
    assert not site.auth.browsers.knows("ada", browser)
    assert site.auth.factors.locked_until("ada") is None
    [entry] = site.events("factors-reset")
    assert (entry.actor_id, entry.subject_id, entry.address) == ("owner", "ada", "127.0.0.1")


@pytest.mark.parametrize(
    ("action", "button", "says"),
    [
        ("reset", "Reset the second factor", "make sure that it is really them"),
        ("shut-out", "Shut this account out", "until you let them in again"),
        ("delete", "Delete this account", "cannot be undone"),
    ],
)
async def test_what_cannot_be_taken_back_is_asked_first(
    site: Site, owner: httpx.AsyncClient, action: str, button: str, says: str
) -> None:
    page = (await owner.get(f"{PEOPLE}/ada")).text
    assert f'href="{PEOPLE}/ada/{action}">{button}' in page
    assert f'action="{PEOPLE}/ada/{action}"' not in page
    asked = (await owner.get(f"{PEOPLE}/ada/{action}")).text
    assert f'<form method="post" action="{PEOPLE}/ada/{action}">' in asked
    assert f">{button}</button>" in asked
    assert says in asked
    assert site.events() == []


async def test_sign_out_everywhere_ends_every_session_and_no_account(site: Site, owner: httpx.AsyncClient) -> None:
    code = enrol(site, "ada")
    site.auth.browsers.remember("ada", "Firefox")
    async with site.client(ADA) as one, site.client(ADA) as two:
        assert (await owner.post(f"{PEOPLE}/ada/sign-out")).status_code == 303
        assert [(await client.get("/")).status_code for client in (one, two)] == [303, 303]
    assert site.auth.browsers.all("ada") == []
    assert site.auth.recovery.use("ada", code), "the factors are kept"
    assert [one.subject_id for one in site.events("signed-out-everywhere")] == ["ada"]


async def test_who_is_shut_out_is_out_and_comes_back_when_let_in(site: Site, owner: httpx.AsyncClient) -> None:
    _, token = site.auth.tokens.make(ADA, "script", ["chat"], site.now() + timedelta(days=1))
    async with site.client(ADA) as ada:
        await owner.post(f"{PEOPLE}/ada/shut-out")
        assert (await ada.get("/")).status_code == 303
    assert site.auth.tokens.find(token) is None
    assert site.auth.sessions.find(site.auth.sessions.create(ADA)) is None, "a sign-in that was under way opens nothing either"
    assert "shut out" in (await owner.get(f"{PEOPLE}/ada")).text
    await owner.post(f"{PEOPLE}/ada/let-in")
    assert not person(site, "ada").disabled
    assert site.auth.sessions.find(site.auth.sessions.create(ADA)) is not None
    assert site.auth.tokens.all("ada") == []
    assert site.forgotten == []
    assert [one.event for one in site.events()] == ["user-disabled", "user-enabled"]


async def test_an_account_is_deleted_with_all_that_is_kept_of_it(site: Site, owner: httpx.AsyncClient) -> None:
    site.auth.tokens.make(ADA, "script", ["chat"], site.now() + timedelta(days=1))
    page = (await owner.get(f"{PEOPLE}/ada/delete")).text
    assert "cannot be undone" in page
    assert f'action="{PEOPLE}/ada/delete"' in page
    async with site.client(ADA) as ada:
        done = await owner.post(f"{PEOPLE}/ada/delete")
        assert done.headers["location"] == "/auth/admin?done=delete"
        assert (await ada.get("/")).status_code == 303
    assert site.forgotten == ["ada"]
    assert site.auth.people.find("ada") is None
    [entry] = site.events("user-deleted")
    assert (entry.subject_id, entry.details["name"]) == ("ada", "Ada"), "the log stands longer than the account"


async def test_a_guest_is_seen_out_by_an_admin(site: Site, owner: httpx.AsyncClient) -> None:
    made, token = site.auth.invitations.open_link("Demo", 2, None, "owner", site.now() + timedelta(hours=1))
    async with site.client() as guest:
        await join(guest, token, "Zoë")
        [zoe] = site.guests_of(made.id)
        page = (await owner.get(f"{PEOPLE}/{zoe.id}")).text
        assert "by the link “Demo”" in page
        assert "API tokens" not in page
        await owner.post(f"{PEOPLE}/{zoe.id}/delete")
        assert (await guest.get("/")).status_code == 303
    assert site.forgotten == [zoe.id]


async def test_a_request_that_was_held_back_until_its_admin_is_one_no_more_changes_nothing(site: Site) -> None:
    site.auth.people.set_role("ada", "admin")

    async def slowly() -> AsyncIterator[bytes]:
        yield b"role="
        site.auth.people.set_role("ada", "member")
        yield b"admin"

    async with site.client(Account("ada", "Ada", "admin")) as client:
        assert (await client.get("/auth/admin/people/ada")).status_code in (200, 303)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/auth/admin/people/ada/role", content=slowly(), headers=headers)
    assert answer.status_code == 403
    assert person(site, "ada").role == "member"
