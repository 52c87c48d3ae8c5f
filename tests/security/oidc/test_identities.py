"""Who someone is, and by what they may come in."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from auth.identities import GOOGLE, identity_of
from auth.people import Admission
from tests.support.hostile import (
    DROP,
    Bend,
    HostileProvider,
)
from tests.support.oidc import (
    LISTED,
    NAME,
    Site,
    assert_in,
    assert_refused,
    assert_this_alone_is_refused,
    settings_of,
    sign_in,
)

Log = pytest.LogCaptureFixture


@pytest.mark.parametrize("sub", [DROP, "", None, 7, ["ada-1"], True, "x" * 256, "ada\x00", "ada\n1"], ids=repr)
async def test_a_token_that_names_nobody_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, sub: Any
) -> None:
    """CHECKLIST 12: sub missing, empty, too long, or no text."""
    await assert_this_alone_is_refused(Bend(claims={"sub": sub}), site, browser, provider, caplog)


def short_token(provider: HostileProvider, **userinfo: Any) -> Bend:
    """A provider whose ID token holds neither email nor whether it is verified, and whose UserInfo endpoint says `userinfo`."""
    document = {"userinfo_endpoint": f"{provider.issuer}/userinfo"}
    return Bend(document=document, claims={"email": DROP, "email_verified": DROP}, userinfo=userinfo)


async def test_a_short_token_is_completed_at_the_userinfo_endpoint(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider
) -> None:
    """CHECKLIST 13: who is vouched for there comes in by the list, and only where the token itself is silent."""
    provider.bend = short_token(provider)
    assert_in(await sign_in(browser, provider), site, browser)
    assert "/userinfo" in provider.asked


@pytest.mark.parametrize(
    "userinfo",
    [{"sub": "eve-1"}, {"sub": DROP}, {"email_verified": False}, {"email_verified": "true"}, {"email_verified": DROP}],
    ids=repr,
)
async def test_a_userinfo_that_does_not_vouch_lets_nobody_in(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, userinfo: dict[str, Any]
) -> None:
    """CHECKLIST 13: another person's, or an email that is not verified."""
    await assert_this_alone_is_refused(short_token(provider, **userinfo), site, browser, provider, caplog)


async def test_a_token_that_says_unverified_is_not_overruled(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log
) -> None:
    """CHECKLIST 13: the signed token's word stands; the endpoint is not even asked."""
    bend = Bend(document={"userinfo_endpoint": f"{provider.issuer}/userinfo"}, claims={"email_verified": False})
    provider.asked.clear()
    await assert_this_alone_is_refused(bend, site, browser, provider, caplog)
    assert "/userinfo" not in provider.asked


async def test_the_same_email_is_not_the_same_person(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    """CHECKLIST 12: another sub with a known email is another account; a known sub with another email is the same one."""
    ada = assert_in(await sign_in(browser, provider), site, browser).account.id
    provider.person["sub"] = "eve-1"
    assert assert_in(await sign_in(browser, provider), site, browser).account.id != ada
    provider.person |= {"sub": "ada-1", "email": "ADA@example.com", "name": "Ada King"}
    again = assert_in(await sign_in(browser, provider), site, browser).account
    assert (again.id, again.name) == (ada, "Ada King")
    assert len(site.people()) == 2


async def test_the_same_sub_elsewhere_is_not_the_same_person(database: Engine, provider: HostileProvider) -> None:
    """CHECKLIST 12: sub and email of a known person, at another issuer."""
    with HostileProvider() as elsewhere:
        site = Site(database, settings_of(provider), settings_of(elsewhere, "other"))
        provider.clock = elsewhere.clock = lambda: site.now().timestamp()
        async with site.browser() as browser:
            ada = assert_in(await sign_in(browser, provider), site, browser).account.id
            other = assert_in(await sign_in(browser, elsewhere, name="other"), site, browser).account.id
    assert ada != other


UNVERIFIED: dict[str, dict[str, Any]] = {
    "not verified": {"email_verified": False}, "not said": {"email_verified": DROP}, "null": {"email_verified": None},
    "a text": {"email_verified": "true"}, "a number": {"email_verified": 1}, "a list": {"email_verified": [True]},
    "another provider's word for it": {"email_verified": DROP, "xms_edov": True},
    "no email": {"email": DROP}, "an email that is a list": {"email": ["ada@example.com"]},
    "with a space": {"email": " ada@example.com"}, "with another line": {"email": "ada@example.com\n"},
    "two emails": {"email": "ada@example.com,eve@evil.example"}, "letters that look alike": {"email": "аda@example.com"},
    "not listed": {"email": "eve@example.com"},
}  # fmt: skip


@pytest.mark.parametrize("fault", UNVERIFIED)
async def test_an_email_that_is_not_verified_lets_nobody_in(
    database: Engine, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 13: email_verified must be true, the boolean; else the email counts for nothing, an admin's least of all."""
    for admission in (LISTED, Admission(admins=LISTED.emails)):
        site = Site(database, settings_of(provider), admission=admission)
        provider.clock = lambda site=site: site.now().timestamp()  # type: ignore[misc]
        async with site.browser() as browser:
            sentence = await assert_this_alone_is_refused(Bend(claims=UNVERIFIED[fault]), site, browser, provider, caplog)
        assert re.search("not on this server&#39;s list|has verified", sentence)
    known = "eve@example.com" if fault == "not listed" else ""
    assert ("sign-in-refused", {"method": NAME, "reason": "not admitted", "email": known}) in site.audited()


def test_letters_that_fold_to_others_are_no_email() -> None:
    """CHECKLIST 13: the Kelvin sign in small letters is a k, so another's email would be on the list."""
    claims = {"sub": "x", "email_verified": True}
    assert "\u212a".lower() == "k"
    assert identity_of({**claims, "email": "ni\u212ai@example.com"}, "https://id.example").email == ""
    assert identity_of({**claims, "email": "niki@example.com"}, "https://id.example").email == "niki@example.com"


@pytest.mark.parametrize(
    ("claims", "comes_in"),
    [({"hd": "example.org"}, True), ({"hd": "EXAMPLE.org"}, True), ({"email": "ada@example.org"}, True),
     ({}, False), ({"hd": "example.org.evil.example"}, False), ({"hd": "evil.example"}, False),
     ({"hd": "sub.example.org"}, False), ({"hd": ["example.org"]}, False), ({"hd": " example.org"}, False),
     ({"hd": "evil.example", "email": "ada@example.org"}, False),
     ({"email": "ada@example.org", "email_verified": False}, False), ({"email": "example.org"}, False),
     ({"email": "ada@example.org@evil.example"}, False)],
    ids=str,
)  # fmt: skip
async def test_a_domain_comes_from_the_token(
    database: Engine, provider: HostileProvider, caplog: Log, claims: dict[str, Any], comes_in: bool
) -> None:
    """CHECKLIST 14: by hd, or by the verified email where there is none; what the request says is not asked."""
    site = Site(database, settings_of(provider), admission=Admission(domains=frozenset({"example.org"})))
    provider.clock = lambda: site.now().timestamp()
    provider.person |= claims
    async with site.browser() as browser:
        url = (await browser.get(f"/auth/oidc/{NAME}?next=/somewhere&hd=example.org")).headers["location"]
        answer = await browser.get(provider.authorize(url) + "&hd=example.org&email=ada@example.org")
        if comes_in:
            assert_in(answer, site, browser)
        else:
            assert_refused(answer, site, browser, provider, caplog)


def test_at_google_the_domain_is_hd_alone() -> None:
    """CHECKLIST 14: anybody may have a Google account with an email of another domain."""
    claims = {"sub": "x", "email_verified": True, "email": "ada@example.org"}
    assert identity_of(claims, GOOGLE).domain == ""
    assert identity_of({**claims, "hd": "Example.org"}, GOOGLE).domain == "example.org"
    assert identity_of({**claims, "email": "x@gmail.com", "hd": None}, GOOGLE).domain == ""
