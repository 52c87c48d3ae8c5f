"""State, nonce and PKCE: a sign-in belongs to the browser that began it, and happens once."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from auth.keys import Vault
from auth.states import States
from auth.store import states
from tests.support.auth import BASE, SECRET
from tests.support.hostile import (
    DROP,
    Bend,
    HostileProvider,
)
from tests.support.oidc import (
    BROWSER,
    NAME,
    SESSION,
    Site,
    assert_in,
    assert_refused,
    assert_this_alone_is_refused,
    begin,
    logged,
    parameters,
    settings_of,
    sign_in,
)
from tests.support.races import race

Log = pytest.LogCaptureFixture


RACES = 50


async def test_a_good_sign_in_gets_in(site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log) -> None:
    session = assert_in(await sign_in(browser, provider, "/gradio/?c=1"), site, browser, "/gradio/?c=1")
    assert (session.account.name, session.account.role, session.method) == ("Ada Lovelace", "member", NAME)
    assert provider.asked == ["/.well-known/openid-configuration", "/token", "/keys"]
    assert ("sign-in", {"method": NAME}) in site.audited()


async def test_a_state_is_good_once(site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log) -> None:
    """CHECKLIST 1: the callback that was used already is refused, though provider and browser are the same."""
    back = provider.authorize(await begin(browser))
    assert_in(await browser.get(back), site, browser)
    browser.cookies.delete(SESSION)
    assert "used already" in assert_refused(await browser.get(back), site, browser, provider, caplog)
    assert len(provider.forms) == 1, "the code is not even sent"


@pytest.mark.parametrize(
    "state", [DROP, "", "unknown", "x" * 5000, "\x00", ["{state}", "{state}"]],
    ids=["missing", "empty", "unknown", "long", "nul", "twice"],
)  # fmt: skip
async def test_a_wrong_state_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, state: Any
) -> None:
    """CHECKLIST 1: a state that is missing, unknown or given twice."""
    url = await begin(browser)
    provider.bend.answer["state"] = [parameters(url)["state"]] * 2 if isinstance(state, list) else state
    assert_refused(await browser.get(provider.authorize(url)), site, browser, provider, caplog)
    assert provider.forms == []


async def test_a_state_is_good_at_its_own_provider_alone(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 1: a state of one provider, brought to another's callback; it is still good at its own."""
    back = provider.authorize(await begin(browser))
    assert_refused(await browser.get(back.replace(f"/{NAME}?", "/other?")), site, browser, provider, caplog)
    assert_in(await browser.get(back), site, browser)


async def test_a_state_ends_after_ten_minutes(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 1: too late by a moment, and in time by a moment."""
    late, early = [provider.authorize(await begin(browser)) for _ in range(2)]
    site.now.move(minutes=10, seconds=-1)
    assert_in(await browser.get(early), site, browser)
    browser.cookies.delete(SESSION)
    site.now.move(seconds=1)
    assert_refused(await browser.get(late), site, browser, provider, caplog)


async def test_two_callbacks_with_one_state_have_one_winner(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider
) -> None:
    """CHECKLIST 1: sent twice at once, 50 times; the code is sent to the provider once."""
    for _ in range(RACES):
        back = provider.authorize(await begin(browser))
        answers = await asyncio.gather(browser.get(back), browser.get(back))
        assert sorted(answer.status_code for answer in answers) == [303, 400]
    assert len(provider.forms) == RACES


def test_a_state_taken_by_two_threads_has_one_winner(any_database: Engine) -> None:
    """CHECKLIST 1: in the database itself, 50 times."""
    store = States(any_database, Vault([SECRET]))
    for _ in range(RACES):
        state = store.begin(NAME, "browser", "/").state
        taken = race(lambda state=state: store.take(state, NAME, "browser"))  # type: ignore[misc]
        assert sum(one is not None for one in taken) == 1


@pytest.mark.parametrize("nonce", [DROP, "", "another", None, 0, ["{nonce}"]], ids=str)
async def test_a_wrong_nonce_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, nonce: Any
) -> None:
    """CHECKLIST 2: a nonce that is missing, empty, another, or no text."""
    await assert_this_alone_is_refused(Bend(claims={"nonce": nonce}), site, browser, provider, caplog)


async def test_the_nonce_of_another_sign_in_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 2: a nonce of ours, but of another sign-in of the same browser."""
    other = parameters(await begin(browser))["nonce"]
    await assert_this_alone_is_refused(Bend(claims={"nonce": other}), site, browser, provider, caplog)


async def test_pkce_with_s256(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    """CHECKLIST 3: a new challenge each time, its verifier given to the token endpoint alone, and sealed in the database."""
    urls = [await begin(browser) for _ in range(2)]
    asked = [parameters(url) for url in urls]
    assert {one["code_challenge_method"] for one in asked} == {"S256"}
    assert len({one["code_challenge"] for one in asked}) == 2
    with site.database.begin() as connection:
        rows = connection.execute(select(states)).all()
    assert_in(await browser.get(provider.authorize(urls[0])), site, browser)
    verifier = provider.forms[0]["code_verifier"]
    assert re.fullmatch(r"[\w.~-]{43,128}", verifier, re.ASCII), "RFC 7636, 4.1"
    assert verifier not in "".join(urls)
    assert all(verifier.encode() not in row.verifier for row in rows)
    assert all(parameters(url)["state"] not in str(rows) for url in urls), "the state is stored as its hash"


async def test_a_code_of_another_sign_in_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 3: a stolen code, brought with the thief's own state: the provider misses its verifier."""
    stolen = parameters(provider.authorize(await begin(browser)))["code"]
    async with site.browser() as thief:
        provider.bend.answer["code"] = stolen
        assert_refused(await sign_in(thief, provider), site, thief, provider, caplog)
    assert "does not take the code" in logged(caplog)


@pytest.mark.parametrize("cookie", ["", "chosen", "x" * 43])
async def test_a_callback_in_another_browser_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, cookie: str
) -> None:
    """CHECKLIST 16: without the cookie, or with another; nothing is used up, and the right browser still gets in."""
    back = provider.authorize(await begin(browser))
    async with site.browser() as other:
        if cookie:
            other.cookies[BROWSER] = cookie
        assert_refused(await other.get(back), site, other, provider, caplog)
        await begin(other)  # which gives it a cookie of its own
        assert_refused(await other.get(back), site, other, provider, caplog)
    assert provider.forms == []
    assert_in(await browser.get(back), site, browser)


async def test_the_browsers_cookie_is_out_of_reach_for_scripts(database: Engine, provider: HostileProvider) -> None:
    """CHECKLIST 16: HttpOnly, SameSite=Lax and ten minutes; under https `__Host-` and Secure. A chosen value is not taken."""
    for base, name, secure in ((BASE, BROWSER, False), ("https://demo.example.com", "__Host-portico-oidc", True)):
        site = Site(database, settings_of(provider), public=base)
        async with site.browser(base) as browser:
            browser.cookies[name] = "chosen"
            cookie = (await browser.get(f"/auth/oidc/{NAME}")).headers["set-cookie"]
            assert re.match(rf"{name}=[\w-]{{43}};", cookie)
            assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=600"} <= set(cookie.split("; "))
            assert ("Secure" in cookie.split("; ")) == secure


async def test_two_tabs_both_get_in(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    """CHECKLIST 17: begun one after the other and finished the other way round, each goes where it wanted to go."""
    first, second = await begin(browser, "/first"), await begin(browser, "/second")
    assert parameters(first)["state"] != parameters(second)["state"]
    assert_in(await browser.get(provider.authorize(second)), site, browser, "/second")
    assert_in(await browser.get(provider.authorize(first)), site, browser, "/first")
    assert len(site.people()) == 1
