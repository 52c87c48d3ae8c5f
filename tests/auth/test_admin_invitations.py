"""The admin page of invitations: a person by email, an audience by a link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine

from auth.routes.enrolment import qr_code
from tests.auth.site import GOOGLE, Site, join, link_of
from tests.support.auth import BASE

INVITATIONS = "/auth/admin/invitations"
LINK = {"name": "Demo", "seats": "3", "quota": "7", "lifetime": "hour"}


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database, providers=[GOOGLE])


@pytest.fixture
async def owner(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.owner() as made:
        yield made


async def test_a_person_is_invited_by_email_and_the_page_says_what_to_tell_them(site: Site, owner: httpx.AsyncClient) -> None:
    done = await owner.post(INVITATIONS, data={"email": "Dee@Example.com", "role": "admin", "days": "3"})
    page = (await owner.get(done.headers["location"])).text
    assert f"Open {BASE}, choose Continue with Google, and use the account with the address dee@example.com" in page
    assert "in 3 days" in page
    [made] = site.auth.invitations.all()
    assert (made.email, made.role, made.expires_at - site.now()) == ("dee@example.com", "admin", timedelta(days=3))
    [entry] = site.events("invited")
    assert (entry.actor_id, entry.subject_id, entry.details["name"]) == ("owner", made.id, "dee@example.com")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"email": "dee"}, "Give a whole email address"), ({"email": "", "days": "7"}, "Give a whole email address"),
        ({"days": "0"}, "from 1 to 90 days"), ({"days": "91"}, "from 1 to 90"), ({"days": "1_0"}, "from 1 to 90"),
        ({"days": "9" * 40}, "from 1 to 90"), ({"role": "owner"}, "Choose admin or member"),
    ],
)  # fmt: skip
async def test_a_wrong_invitation_keeps_what_was_typed(
    site: Site, owner: httpx.AsyncClient, form: dict[str, str], says: str
) -> None:
    answer = await owner.post(INVITATIONS, data={"email": "dee@example.com", "role": "member", "days": "7", **form})
    assert answer.status_code == 400
    assert says in answer.text
    assert answer.text.count('role="alert"') == 1
    assert answer.text.count('aria-invalid="true"') == 1
    if form.get("email", "x"):
        assert form.get("email", "dee@example.com") in answer.text
    assert site.auth.invitations.all() == []
    assert site.events() == []


async def test_without_a_provider_there_is_no_invitation_by_email(database: Engine) -> None:
    site = Site(database)
    async with site.owner() as owner:
        page = (await owner.get(INVITATIONS)).text
        assert "needs a provider to sign in with" in page
        assert 'name="email"' not in page
        answer = await owner.post(INVITATIONS, data={"email": "dee@example.com", "role": "member", "days": "7"})
        assert answer.status_code == 400
        assert (await owner.post(f"{INVITATIONS}/link", data=LINK)).status_code == 200
    assert [one.email for one in site.auth.invitations.all()] == [""]


async def test_a_guest_link_is_shown_once_as_text_and_as_a_code(site: Site, owner: httpx.AsyncClient) -> None:
    page = await owner.post(f"{INVITATIONS}/link", data=LINK)
    token = link_of(page)
    link = f"{BASE}/auth/join#{token}"
    assert f'value="{link}"' in page.text
    assert page.text.count(qr_code(link)) == 2, "on the page, and in full screen"
    assert page.headers["cache-control"] == "no-store"
    made = site.auth.invitations.find(token)
    assert made is not None
    assert (made.name, made.seats, made.quota, made.expires_at - site.now()) == ("Demo", 3, 7, timedelta(hours=1))
    listed = (await owner.get(INVITATIONS)).text
    assert token not in listed
    assert "0 of 3 seats taken, 3 free" in listed
    async with site.client() as guest:
        assert (await join(guest, token)).status_code == 303
    assert "1 of 3 seats taken, 2 free" in (await owner.get(INVITATIONS)).text
    assert [one.details["role"] for one in site.events("invited")] == ["guest"]


async def test_a_link_leads_to_the_public_address_and_warns_where_no_phone_can_reach_it(database: Engine) -> None:
    for public, warns in (("https://demo.example.com", False), (BASE, True), ("http://localhost:7860", True)):
        site = Site(database, public)
        async with site.owner() as owner:
            page = (await owner.post(f"{INVITATIONS}/link", data=LINK)).text
        assert f"{public}/auth/join#" in page
        assert ("no phone can reach" in page) == warns
        assert ("--host 0.0.0.0" in page and f"<code>{public.partition('//')[2]}</code>" in page) == warns


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": " "}, "Give the link a name"), ({"name": "x" * 101}, "Give the link a name"),
        ({"seats": "0"}, "from 1 to 1000"),
        ({"seats": "1001"}, "from 1 to 1000"), ({"seats": ""}, "from 1 to 1000"), ({"quota": "0"}, "or leave it empty"),
        ({"quota": "-1"}, "or leave it empty"), ({"lifetime": "year"}, "how long"), ({"lifetime": ""}, "how long"),
    ],
)  # fmt: skip
async def test_a_wrong_link_keeps_what_was_typed(site: Site, owner: httpx.AsyncClient, form: dict[str, str], says: str) -> None:
    answer = await owner.post(f"{INVITATIONS}/link", data={**LINK, **form})
    assert answer.status_code == 400
    assert says in answer.text
    assert answer.text.count('role="alert"') == 1
    assert 'value="7"' in answer.text or "quota" in form
    assert site.auth.invitations.all() == []


async def test_no_quota_and_each_lifetime(site: Site, owner: httpx.AsyncClient) -> None:
    hours = []
    for lifetime in ("hour", "hours", "day", "week"):
        page = await owner.post(f"{INVITATIONS}/link", data={"name": "Demo", "seats": "1000", "lifetime": lifetime})
        made = site.auth.invitations.find(link_of(page))
        assert made is not None
        assert made.quota is None
        hours.append((made.expires_at - site.now()) / timedelta(hours=1))
    assert hours == [1, 4, 24, 168]


async def test_revoking_asks_first_and_ends_the_visits(site: Site, owner: httpx.AsyncClient) -> None:
    token = link_of(await owner.post(f"{INVITATIONS}/link", data=LINK))
    made = site.auth.invitations.find(token)
    assert made is not None
    async with site.client() as guest:
        await join(guest, token)
        page = (await owner.get(f"{INVITATIONS}/{made.id}/revoke")).text
        assert "Everyone who came in by this link is signed out at once, and their chats are deleted" in page
        assert (await guest.get("/")).text == "home", "to look at the page revokes nothing"
        done = await owner.post(f"{INVITATIONS}/{made.id}/revoke")
        assert "The invitation is revoked" in (await owner.get(done.headers["location"])).text
        assert (await guest.get("/")).status_code == 303
    site.sweep()
    assert len(site.forgotten) == 1
    assert site.guests_of(made.id) == []
    [entry] = site.events("invitation-revoked")
    assert (entry.actor_id, entry.subject_id, entry.details) == ("owner", made.id, {"name": "Demo"})
    await owner.post(f"{INVITATIONS}/{made.id}/revoke")
    assert len(site.events("invitation-revoked")) == 1
    assert (await owner.get(f"{INVITATIONS}/{made.id}/revoke")).status_code == 404
    assert "1 that is over" in (await owner.get(INVITATIONS)).text


async def test_an_invitation_by_email_can_be_taken_back(site: Site, owner: httpx.AsyncClient) -> None:
    await owner.post(INVITATIONS, data={"email": "dee@example.com", "role": "member", "days": "7"})
    [made] = site.auth.invitations.all()
    assert "dee@example.com can then not come in" in (await owner.get(f"{INVITATIONS}/{made.id}/revoke")).text
    await owner.post(f"{INVITATIONS}/{made.id}/revoke")
    assert site.auth.invitations.all()[0].revoked
