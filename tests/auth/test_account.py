"""The account page behind the guard, without a browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from sqlalchemy import Engine, insert

from auth.audit import Origin
from auth.sessions import Account
from auth.store import identities
from auth.tokens import MOST
from tests.auth.authenticator import Authenticator
from tests.auth.site import GOOGLE, Site

ADA, BO, GUEST = Account("ada", "Ada", "member"), Account("bo", "Bo", "member"), Account("guest-1", "Gus", "guest", 20)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/604.1"
)
ACCOUNT, NEW, TOKENS, EXPORT = "/auth/account", "/auth/account/tokens/new", "/auth/account/tokens", "/auth/account/export"
POSTS = [
    f"{ACCOUNT}/sessions/x/end", f"{ACCOUNT}/sessions/end-others", f"{ACCOUNT}/browsers/x/forget",
    f"{ACCOUNT}/browsers/forget-all", TOKENS, f"{TOKENS}/x/revoke", EXPORT,
]  # fmt: skip


@pytest.fixture
def site(database: Engine) -> Site:
    return Site(database, providers=[GOOGLE])


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client(ADA) as made:
        yield made


def words(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page.text, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body)))


def enrol(site: Site, user: str = "ada") -> None:
    secret = site.auth.totp.begin(user, user).secret
    assert site.auth.totp.confirm(user, pyotp.TOTP(secret).at(site.now()))


# Who may, and from where


async def test_it_says_who_one_is_and_how_one_came_in(site: Site) -> None:
    site.add(BO, "bo@example.com")
    async with site.client() as client:
        client.cookies.set("portico-7860", site.auth.sessions.create(BO, method="google"))
        site.now.move(minutes=3)
        shown = words(await client.get(ACCOUNT))
    for fact in ("Bo", "bo@example.com", "Member", "with Google, 3 minutes ago"):
        assert fact in shown


async def test_a_guest_is_refused_kindly_everywhere(site: Site) -> None:
    async with site.client(GUEST) as client:
        for path in (ACCOUNT, NEW, EXPORT):
            page = await client.get(path)
            assert page.status_code == 403
            assert "You are here as a guest" in page.text
        assert (await client.post(TOKENS, data={"name": "x", "scope-chat": "on"})).status_code == 403
        assert (await client.post(EXPORT)).status_code == 403
    assert site.auth.tokens.all(GUEST.id) == []


async def test_nobody_changes_anything_without_a_session_by_get_or_from_another_site(
    site: Site, client: httpx.AsyncClient
) -> None:
    async with site.client() as stranger:
        assert (await stranger.get(ACCOUNT)).headers["location"] == "/auth/sign-in?next=%2Fauth%2Faccount"
        for path in POSTS:
            assert (await stranger.post(path, headers={"accept": "*/*"})).status_code == 401
    for path in POSTS:
        assert (await client.post(path, headers={"origin": "https://evil.example"})).status_code == 403
        if path != EXPORT:
            assert (await client.get(path)).status_code == 405


async def test_what_others_chose_is_escaped(site: Site, client: httpx.AsyncClient) -> None:
    bad = "<script>alert(1)</script>"
    site.auth.sessions.create(Account("ada", "Ada", "member"), origin=Origin("192.0.2.9", bad))
    site.auth.browsers.remember("ada", bad)
    await client.post(TOKENS, data={"name": bad, "scope-chat": "on"})
    page = await client.get(ACCOUNT, params={"done": bad})
    assert page.text.count("&lt;script&gt;alert(1)") >= 3
    assert bad not in page.text


# Factors


async def test_without_a_second_factor_one_is_offered(site: Site, client: httpx.AsyncClient) -> None:
    page = await client.get(ACCOUNT)
    assert "Make your account safer" in page.text
    assert 'href="/auth/two-factor/set-up"' in page.text
    assert "Recovery codes" not in page.text
    assert "Passkeys" in page.text, "at a bare IP address it says why there are none"


async def test_factors_are_listed_with_what_can_be_done(database: Engine) -> None:
    site = Site(database, public="https://demo.example.com")
    site.add(ADA)
    enrol(site)
    device = Authenticator(site.auth.site.public)
    options, challenge = site.auth.passkeys.registration("ada", "Ada", site.auth.site.public)
    assert site.auth.passkeys.register("ada", "Blue <key>", device.create(options), challenge, site.auth.site.public)
    codes = site.auth.recovery.make("ada")
    for code in codes[:7]:
        assert site.auth.recovery.use("ada", code)
    (key,) = site.auth.passkeys.all("ada")
    site.now.move(days=2)
    async with site.client(ADA) as client:
        page = await client.get(ACCOUNT)
    shown = words(page)
    assert "Make your account safer" not in shown
    assert "Blue <key> Passkey, added 2 days ago, not used yet" in shown
    assert "3 of 10 left. It is time for new ones." in shown
    for action in (f"passkey/{key.id}/rename", f"passkey/{key.id}/remove", "remove"):
        assert f'action="/auth/two-factor/{action}"' in page.text
    assert 'href="/auth/two-factor/recovery-codes"' in page.text
    assert codes[9] not in page.text


# Devices and browsers


async def test_each_device_is_named_with_where_and_when(site: Site, client: httpx.AsyncClient) -> None:
    site.auth.sessions.create(ADA, origin=Origin("2001:db8::7", IPHONE))
    site.auth.sessions.create(BO, origin=Origin("192.0.2.99", "Bo's browser"))
    site.now.move(minutes=2)
    shown = words(await client.get(ACCOUNT))
    assert re.search(r"this device .*Safari on iPhone 2001:db8::7, last active 2 minutes ago", shown)
    assert "192.0.2.99" not in shown


async def test_ending_a_session_says_so_beside_the_list_and_is_logged(site: Site, client: httpx.AsyncClient) -> None:
    site.auth.sessions.create(ADA, origin=Origin("192.0.2.8", IPHONE))
    (other,) = [one for one in site.auth.sessions.of_user("ada") if one.agent == IPHONE]
    answer = await client.post(f"{ACCOUNT}/sessions/{other.id}/end")
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/account?done=session-ended#devices")
    assert "That device is signed out." in (await client.get(answer.headers["location"])).text
    again = await client.post(f"{ACCOUNT}/sessions/{other.id}/end")
    assert "done=session-gone" in again.headers["location"]
    (entry,) = site.events("session-ended")
    assert (entry.actor_id, entry.details) == ("ada", {"device": "Safari on iPhone"})


async def test_ending_ones_own_session_signs_out_and_is_still_answered(site: Site, client: httpx.AsyncClient) -> None:
    (own,) = site.auth.sessions.of_user("ada")
    assert (await client.post(f"{ACCOUNT}/sessions/{own.id}/end")).status_code == 303
    assert (await client.get(ACCOUNT)).headers["location"].startswith("/auth/sign-in")


async def test_ending_all_others_is_logged_with_how_many(site: Site, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        site.auth.sessions.create(ADA)
    page = await client.get(ACCOUNT)
    assert "Sign out all others" in page.text
    answer = await client.post(f"{ACCOUNT}/sessions/end-others")
    page = await client.get(answer.headers["location"])
    assert "Every other device is signed out." in page.text
    assert "Sign out all others" not in page.text
    assert site.events("sessions-ended")[0].details == {"count": "3"}


async def test_remembered_browsers_are_forgotten_one_by_one_or_all(site: Site, client: httpx.AsyncClient) -> None:
    kept = site.auth.browsers.remember("ada", IPHONE)
    site.add(BO)
    theirs = site.auth.browsers.remember("bo", IPHONE)
    for _ in range(3):
        site.auth.browsers.remember("ada", "Firefox")
    (bos,) = site.auth.browsers.all("bo")
    assert "ends in 30 days" in words(await client.get(ACCOUNT))
    first = next(one for one in site.auth.browsers.all("ada") if one.agent == "Firefox")
    for browser_id in (first.id, bos.id):
        await client.post(f"{ACCOUNT}/browsers/{browser_id}/forget")
    assert len(site.auth.browsers.all("ada")) == 3
    assert site.auth.browsers.knows("bo", theirs), "another person's is not one's own to forget"
    assert site.auth.browsers.knows("ada", kept)
    await client.post(f"{ACCOUNT}/browsers/forget-all")
    assert site.auth.browsers.all("ada") == []
    assert [one.details for one in site.events("browser-forgotten")] == [{"count": "1"}, {"count": "3"}]


# Tokens


async def test_a_token_is_shown_once_and_works(site: Site, client: httpx.AsyncClient) -> None:
    form = await client.get(NEW)
    assert '<option value="30" selected>' in form.text
    made = await client.post(TOKENS, data={"name": " my notebook ", "scope-chat": "on", "days": "90"})
    token = (re.search(r"portico_[\w-]{43}", made.text) or [""])[0]
    session = site.auth.tokens.find(token)
    assert session is not None
    assert (session.account.id, session.scopes) == ("ada", {"chat"})
    assert (session.ends_at - site.now()).days == 90
    page = await client.get(ACCOUNT)
    assert token[:12] in page.text
    assert token not in page.text
    assert "my notebook" in page.text
    (entry,) = site.events("token-made")
    assert entry.details == {"name": "my notebook", "scopes": "chat"}
    assert entry.subject_id == session.id


async def test_a_token_is_revoked_at_once_and_by_its_owner_alone(site: Site, client: httpx.AsyncClient) -> None:
    token, text = site.auth.tokens.make(ADA, "ci", ["models"], site.now().replace(year=site.now().year + 1))
    site.add(BO)
    async with site.client(BO) as other:
        await other.post(f"{TOKENS}/{token.id}/revoke")
    assert site.auth.tokens.find(text)
    answer = await client.post(f"{TOKENS}/{token.id}/revoke")
    assert "That token opens nothing any more." in (await client.get(answer.headers["location"])).text
    assert site.auth.tokens.find(text) is None
    assert [(one.actor_id, one.subject_id) for one in site.events("token-revoked")] == [("ada", token.id)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": "  ", "scope-chat": "on", "days": "7"}, ["Give the token a name"]),
        ({"name": "ci", "days": "7"}, ["Choose at least one thing"]),
        ({"name": "", "days": "7"}, ["Give the token a name", "Choose at least one thing"]),
        ({"name": "x" * 101, "scope-chat": "on", "days": "7"}, ["at most 100 characters"]),
    ],
)
async def test_a_mistake_is_told_at_its_field_and_what_was_typed_is_kept(
    site: Site, client: httpx.AsyncClient, typed: dict[str, str], said: list[str]
) -> None:
    page = await client.post(TOKENS, data=typed)
    assert page.status_code == 422
    for sentence in said:
        assert sentence in page.text
    assert 'role="alert"' in page.text
    assert '<option value="7" selected>' in page.text
    assert f'value="{typed["name"]}"' in page.text
    assert ('name="scope-chat" checked' in page.text) == ("scope-chat" in typed)
    assert ('aria-invalid="true"' in page.text) == (len(typed["name"]) <= 100)
    assert site.auth.tokens.all("ada") == []


async def test_a_number_of_days_that_is_not_offered_is_not_taken(site: Site, client: httpx.AsyncClient) -> None:
    await client.post(TOKENS, data={"name": "ci", "scope-chat": "on", "scope-root": "on", "days": "99999"})
    (token,) = site.auth.tokens.all("ada")
    assert (token.expires_at - site.now()).days == 30
    assert token.scopes == ("chat",)


async def test_too_many_tokens_are_refused_with_what_to_do(site: Site, client: httpx.AsyncClient) -> None:
    for number in range(MOST):
        await client.post(TOKENS, data={"name": f"t{number}", "scope-chat": "on"})
    page = await client.post(TOKENS, data={"name": "one more", "scope-chat": "on"})
    assert page.status_code == 422
    assert "Revoke one" in page.text
    assert 'value="one more"' in page.text


# A factor anew


@pytest.mark.parametrize("path", [NEW, EXPORT])
async def test_what_needs_its_person_anew_asks_for_it_and_comes_back(site: Site, client: httpx.AsyncClient, path: str) -> None:
    """CHECKLIST 27: making a token and exporting, too, once the last factor is over 15 minutes old."""
    assert (await client.get(path)).status_code == 200
    site.now.move(minutes=15, seconds=1)
    link = urlsplit((await client.get(path)).headers["location"])
    assert (link.path, parse_qs(link.query)["next"]) == ("/auth/sign-in", [path])
    enrol(site)
    factor = urlsplit((await client.get(path)).headers["location"])
    assert (factor.path, parse_qs(factor.query)["next"]) == ("/auth/two-factor", [path])
    await client.post(path if path == EXPORT else TOKENS, data={"name": "x", "scope-chat": "on"})
    assert site.auth.tokens.all("ada") == []
    assert site.events("exported") == []


async def test_a_form_that_was_open_too_long_loses_nothing_on_the_way_to_the_factor(
    site: Site, client: httpx.AsyncClient
) -> None:
    enrol(site)
    site.now.move(minutes=16)
    answer = await client.post(TOKENS, data={"name": "ci & <more>", "scope-models": "on", "days": "365"})
    back = parse_qs(urlsplit(answer.headers["location"]).query)["next"][0]
    session = site.auth.sessions.find(client.cookies["portico-7860"])
    assert session
    client.cookies.set("portico-7860", site.auth.sessions.step_up(session) or "", "127.0.0.1", "/")
    form = await client.get(back)
    assert 'value="ci &amp; &lt;more&gt;"' in form.text
    assert 'name="scope-models" checked' in form.text
    assert 'name="scope-chat" checked' not in form.text
    assert '<option value="365" selected>' in form.text


# Data


async def test_the_export_holds_what_is_kept_of_its_person_and_no_secret(
    site: Site, client: httpx.AsyncClient, database: Engine
) -> None:
    site.add(BO)
    enrol(site)
    codes = site.auth.recovery.make("ada")
    with database.begin() as connection:
        known = {"issuer": "https://id.example.com", "subject": "subject-1", "user_id": "ada", "created_at": site.now()}
        connection.execute(insert(identities).values(known))
    await client.post(TOKENS, data={"name": "ci", "scope-chat": "on"})
    site.auth.browsers.remember("ada", IPHONE)
    async with site.client(BO) as other:
        await other.post(f"{ACCOUNT}/sessions/end-others")
    answer = await client.post(EXPORT)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == f'attachment; filename="portico-{site.now():%Y-%m-%d}.json"'
    data = json.loads(answer.text)
    assert data["of"] == "ada", "what the rest of the server keeps of her"
    assert data["account"]["name"] == "Ada"
    assert data["account"]["known_to_providers_as"] == ["subject-1 at https://id.example.com"]
    assert data["second_factors"] == {"authenticator_app": True, "passkeys": [], "recovery_codes_left": 10}
    assert data["remembered_browsers"][0]["browser"] == IPHONE
    assert [(one["name"], one["may"]) for one in data["api_tokens"]] == [("ci", ["chat"])]
    assert [one["event"] for one in data["log"]] == ["token-made"], "what Bo did is none of hers"
    assert len(data["sessions"]) == 1
    for secret in (*codes, client.cookies["portico-7860"], "hash", "secret"):
        assert secret not in answer.text
    assert [one.actor_id for one in site.events("exported")] == ["ada"]
