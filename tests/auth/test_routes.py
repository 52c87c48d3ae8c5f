"""The sign-in pages behind the guard, without a browser."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from auth.middleware import Guard
from auth.routes.common import Pages
from auth.routes.sign_in import NEW_LINK_EVERY_S, sign_in_routes
from portal.pages import render
from tests.support.auth import make_auth
from tests.support.clock import Clock

BASE = "http://127.0.0.1:7860"
OURS = {"origin": BASE}


class Site:
    def __init__(self, database: Engine) -> None:
        self.auth = make_auth(database)
        self.sessions, self.links, self.clock = self.auth.sessions, self.auth.links, Clock()
        self.printed = 0
        routes = sign_in_routes(self.auth, Pages(self.auth, render), self.print_link, self.clock)
        self.app = Guard(Starlette(routes=routes), self.sessions, self.auth.site, ["/auth/sign-in", "/auth/link"])

    def print_link(self) -> None:
        self.printed += 1

    def client(self, peer: str = "127.0.0.1") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app, client=(peer, 5)), base_url=BASE, headers=OURS)


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database)


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as made:
        yield made


async def sign_in(site: Site, client: httpx.AsyncClient, next_url: str = "/") -> httpx.Response:
    return await client.post("/auth/link", data={"token": site.links.create(), "next": next_url})


async def test_get_shows_a_button_and_uses_nothing_up(site: Site, client: httpx.AsyncClient) -> None:
    token = site.links.create()
    page = await client.get("/auth/link")
    assert page.text.count("<button>") == 1
    assert (await client.post("/auth/link", data={"token": token})).status_code == 303


async def test_post_signs_in_once(site: Site, client: httpx.AsyncClient) -> None:
    token = site.links.create()
    first = await client.post("/auth/link", data={"token": token})
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("portico-7860=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    again = await client.post("/auth/link", data={"token": token})
    assert again.status_code == 403
    assert "used already" in again.text
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("token", ["", "wrong", "x" * 20_000])
async def test_a_wrong_token_is_refused_like_any_other(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post("/auth/link", data={"token": token})
    assert answer.status_code == 403
    assert "used already, has expired, or is not complete" in answer.text


async def test_a_link_works_from_this_machine_alone(site: Site) -> None:
    async with site.client(peer="192.0.2.7") as client:
        token = site.links.create()
        headers = {"x-forwarded-for": "127.0.0.1"}
        assert (await client.post("/auth/link", data={"token": token}, headers=headers)).status_code == 403
        assert site.links.use(token), "and is not used up by the attempt"
        assert (await client.post("/auth/sign-in", headers=headers)).status_code == 403
    assert not site.printed


async def test_the_link_opened_elsewhere_says_where_it_works_and_offers_no_new_one(site: Site) -> None:
    async with site.client(peer="192.0.2.7") as client:
        for page in (await client.get("/auth/link"), await client.post("/auth/link", data={"token": site.links.create()})):
            assert "works only in a browser on the server's own machine" in html.unescape(page.text)
            assert "ssh -L 7860:127.0.0.1:7860 you@the-server" in page.text
            assert "<button" not in page.text


async def test_only_who_had_begun_to_sign_in_reads_that_the_time_is_up(client: httpx.AsyncClient) -> None:
    page = "/auth/sign-in?next=%2Fauth%2Ftwo-factor%3Fnext%3D%252F"
    assert "Ten minutes went by" not in (await client.get(page)).text
    client.cookies["portico-7860"] = "of a session that is no more"
    assert "Ten minutes went by" in (await client.get(page)).text
    assert "Ten minutes went by" not in (await client.get("/auth/sign-in?next=/")).text


async def test_signing_in_again_ends_the_session_before(site: Site, client: httpx.AsyncClient) -> None:
    await sign_in(site, client)
    old = client.cookies["portico-7860"]
    await sign_in(site, client)
    assert site.sessions.find(old) is None
    assert site.sessions.find(client.cookies["portico-7860"]) is not None


async def test_an_id_chosen_by_the_client_is_not_taken(site: Site, client: httpx.AsyncClient) -> None:
    client.cookies["portico-7860"] = "chosen"
    await sign_in(site, client)
    assert "chosen" not in client.cookies.jar._cookies["127.0.0.1"]["/"]["portico-7860"].value  # type: ignore[attr-defined]
    assert site.sessions.find("chosen") is None


async def test_sign_out_ends_the_session_and_only_by_post(site: Site, client: httpx.AsyncClient) -> None:
    await sign_in(site, client)
    token = client.cookies["portico-7860"]
    assert (await client.get("/auth/sign-out")).status_code == 405
    out = await client.post("/auth/sign-out")
    assert out.headers["location"] == "/auth/sign-in"
    assert site.sessions.find(token) is None
    assert "portico-7860" not in client.cookies


async def test_next_stays_on_this_site(site: Site, client: httpx.AsyncClient) -> None:
    assert (await sign_in(site, client, "/?ui=streamlit")).headers["location"] == "/?ui=streamlit"
    assert (await sign_in(site, client, "//evil.example")).headers["location"] == "/"
    assert (await client.get("/auth/sign-in?next=/%5Cevil.example")).headers["location"] == "/"


async def test_the_page_prints_a_new_link_but_floods_no_terminal(site: Site, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        answer = await client.post("/auth/sign-in", follow_redirects=True)
        assert "stands in the terminal now" in answer.text
    assert site.printed == 1
    site.clock.now += NEW_LINK_EVERY_S
    await client.post("/auth/sign-in")
    assert site.printed == 2


async def test_no_token_is_logged(site: Site, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = site.links.create()
    await client.post("/auth/link", data={"token": token})
    await client.post("/auth/link", data={"token": token})
    assert token not in caplog.text
    assert client.cookies["portico-7860"] not in caplog.text
    assert "sign-in: owner, from 127.0.0.1 method=link" in caplog.text
