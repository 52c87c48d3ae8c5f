"""Sign-in at a provider, as people meet it. What a hostile provider tries stands in tests/security/oidc."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, update
from starlette.responses import StreamingResponse

import auth.providers
from auth.id_tokens import IdToken, check_claims
from auth.identities import GOOGLE, identity_of
from auth.keys import Vault
from auth.oidc import Provider, ProviderSettings
from auth.people import Admission
from auth.provider_errors import Misconfigured, Untrusted
from auth.providers import Metadata, read_metadata
from auth.states import Pending, States
from auth.store import states
from tests.support.auth import BASE, SECRET, Now
from tests.support.hostile import CLIENT_ID, CLIENT_SECRET, DISCOVERY, DROP, HostileProvider
from tests.support.oidc import NAME, SESSION, Site, assert_in, begin, logged, parameters, settings_of, sign_in


@pytest.fixture(scope="module")
def running() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: HostileProvider) -> HostileProvider:
    running.reset()
    return running


@pytest.fixture
def site(database: Engine, provider: HostileProvider) -> Site:
    made = Site(database, settings_of(provider))
    provider.clock = lambda: made.now().timestamp()
    return made


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.browser() as made:
        yield made


def alert(page: httpx.Response) -> str:
    found = re.search(r'role="alert">([^<]+)<', page.text)
    assert found, page.text
    return found[1]


# Discovery documents, cut down to what is used and what is near it.

TENANT = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47"
KEYCLOAK = "https://id.example.com/realms/lab/protocol/openid-connect"
BOTH = ["client_secret_post", "client_secret_basic", "private_key_jwt"]
DOCUMENTS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "Google": ({
        "issuer": GOOGLE, "authorization_endpoint": f"{GOOGLE}/o/oauth2/v2/auth", "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs", "token_endpoint_auth_methods_supported": BOTH[:2],
        "id_token_signing_alg_values_supported": ["RS256"],
    }, "client_secret_basic", False),
    "Keycloak": ({
        "issuer": "https://id.example.com/realms/lab", "authorization_endpoint": f"{KEYCLOAK}/auth",
        "token_endpoint": f"{KEYCLOAK}/token", "jwks_uri": f"{KEYCLOAK}/certs", "token_endpoint_auth_methods_supported": BOTH,
        "id_token_signing_alg_values_supported": ["PS256", "RS256", "ES256", "HS256", "EdDSA"],
        "authorization_response_iss_parameter_supported": True,
    }, "client_secret_basic", True),
    "Entra": ({
        "issuer": f"{TENANT}/v2.0", "authorization_endpoint": f"{TENANT}/oauth2/v2.0/authorize",
        "token_endpoint": f"{TENANT}/oauth2/v2.0/token", "jwks_uri": f"{TENANT}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }, "client_secret_post", False),
    "Auth0, whose issuer ends in a slash": ({
        "issuer": "https://lab.eu.auth0.com/", "authorization_endpoint": "https://lab.eu.auth0.com/authorize",
        "token_endpoint": "https://lab.eu.auth0.com/oauth/token", "jwks_uri": "https://lab.eu.auth0.com/.well-known/jwks.json",
    }, "client_secret_basic", False),
    "with a question in its address": ({
        "issuer": "https://b2c.example/v2.0/", "authorization_endpoint": "https://b2c.example/authorize?p=b2c_1_policy",
        "token_endpoint": "https://b2c.example/token?p=b2c_1_policy", "jwks_uri": "https://b2c.example/keys?p=b2c_1_policy",
    }, "client_secret_basic", False),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_of_the_providers_that_people_use_are_taken(name: str) -> None:
    document, method, sends_iss = DOCUMENTS[name]
    read = read_metadata(document, document["issuer"])
    assert (read.auth_method, read.sends_iss) == (method, sends_iss)
    assert read.token_endpoint == document["token_endpoint"]


def test_entra_for_everybody_is_refused() -> None:
    """Any tenant's administrator may write any email: only one's own tenant may vouch, and its issuer names it."""
    document = DOCUMENTS["Entra"][0] | {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
    with pytest.raises(Misconfigured, match="must be equal"):
        read_metadata(document, "https://login.microsoftonline.com/common/v2.0")


@pytest.mark.parametrize(
    ("claims", "email"),
    [({"xms_edov": True}, "ada@example.com"), ({"xms_edov": "1"}, "ada@example.com"), ({"xms_edov": 1}, "ada@example.com"),
     ({}, ""), ({"xms_edov": False}, ""), ({"xms_edov": "0"}, ""), ({"xms_edov": None}, ""), ({"xms_edov": ["1"]}, ""),
     ({"xms_edov": True, "email_verified": False}, "")],
    ids=str,
)  # fmt: skip
def test_entra_vouches_for_an_email_in_its_own_way(claims: dict[str, Any], email: str) -> None:
    said = {"sub": "x", "email": "ada@example.com", "preferred_username": "root@example.com", **claims}
    assert identity_of(said, f"{TENANT}/v2.0").email == email
    assert identity_of(said, "https://id.example.com").email == ""


def test_a_name_is_shown_without_what_cannot_be_printed() -> None:
    claims = {"sub": "x", "name": " Ada\x00\u202e\nLovelace " + "x" * 300}
    assert identity_of(claims, "https://id.example").name == ("AdaLovelace " + "x" * 300)[:255]
    assert identity_of({"sub": "x", "name": ["Ada"]}, "https://id.example").name == ""


async def test_the_issuers_slash_is_left_out_of_the_documents_address(provider: HostileProvider, database: Engine) -> None:
    provider.bend.document["issuer"] = provider.issuer + "/"
    settings = ProviderSettings(NAME, "Acme", provider.issuer + "/", CLIENT_ID, CLIENT_SECRET)
    site = Site(database, settings)
    assert (await site.auth.providers[NAME].metadata()).token_endpoint == provider.issuer + "/token"
    assert provider.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "methods", [DROP, ["client_secret_basic"], ["client_secret_post"], ["client_secret_post", "client_secret_basic"]]
)
async def test_the_client_shows_who_it_is_as_the_provider_wants(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, methods: Any
) -> None:
    """With a secret full of signs that must be escaped; where both ways are open it goes in the header (RFC 6749, 2.3.1)."""
    provider.bend.document["token_endpoint_auth_methods_supported"] = methods
    assert_in(await sign_in(browser, provider), site, browser)
    assert ("client_secret" in provider.forms[0]) == (methods == ["client_secret_post"])


# The way there.


class Known(Provider):
    """A provider whose discovery document is known."""

    async def metadata(self) -> Metadata:
        return read_metadata(DOCUMENTS["Google"][0], GOOGLE)


async def test_what_google_is_asked(site: Site) -> None:
    google = Known(ProviderSettings("google", "Google", GOOGLE, "id", "secret"), site.auth.site)
    pending = Pending("s", "n", "v" * 43, "/")
    url = await google.authorization_url(pending, "example.org")
    assert url.startswith(f"{GOOGLE}/o/oauth2/v2/auth?")
    asked = parameters(url)
    assert asked.pop("code_challenge")
    assert asked == {
        "response_type": "code", "client_id": "id", "redirect_uri": f"{BASE}/auth/callback/google",
        "scope": "openid email profile", "state": "s", "nonce": "n", "code_challenge_method": "S256",
        "prompt": "select_account", "hd": "example.org",
    }  # fmt: skip
    assert "hd" not in parameters(await google.authorization_url(pending))


async def test_what_others_are_asked(site: Site, browser: httpx.AsyncClient) -> None:
    asked = parameters(await begin(browser))
    assert not {"prompt", "hd"} & set(asked)
    anew = (await browser.get(f"/auth/oidc/{NAME}?again")).headers["location"]
    assert parameters(anew)["prompt"] == "login", "else a provider gives the same account again, without a question"


async def test_many_who_come_at_once_make_one_question(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    answers = await asyncio.gather(*(browser.get(f"/auth/oidc/{NAME}") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {303}
    assert provider.asked == [DISCOVERY]


@pytest.mark.parametrize("path", ["/auth/oidc/nobody", "/auth/callback/nobody?state=x&code=y"])
async def test_an_unknown_provider_is_a_page(browser: httpx.AsyncClient, path: str) -> None:
    page = await browser.get(path)
    assert page.status_code == 404
    assert "no such way to sign in" in page.text


# When it does not work.


async def test_a_provider_that_is_away_is_a_page_and_is_not_asked_for_each_click(
    database: Engine, provider: HostileProvider, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(database, ProviderSettings(NAME, "Acme", "http://127.0.0.1:9", CLIENT_ID, CLIENT_SECRET))
    async with site.browser() as browser:
        page = await browser.get(f"/auth/oidc/{NAME}?next=/x")
    assert page.status_code == 503
    assert alert(page) == "Acme cannot be reached right now. Wait a minute, then try again."
    assert 'href="/auth/oidc/acme?next=%2Fx">Try again<' in page.text
    assert "127.0.0.1:9: ConnectError" in logged(caplog)
    with database.begin() as connection:
        assert connection.execute(select(states)).first() is None


async def test_a_provider_that_comes_back_is_asked_again_after_five_seconds(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider
) -> None:
    provider.bend.responses[DISCOVERY] = lambda: StreamingResponse(iter([b""]), 503)
    for _ in range(3):
        assert (await browser.get(f"/auth/oidc/{NAME}")).status_code == 503
    assert len(provider.asked) == 1
    provider.bend.responses.clear()
    site.now.move(seconds=5)
    assert_in(await sign_in(browser, provider), site, browser)


async def test_a_provider_that_never_ends_its_answer_is_given_up(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.05)

    monkeypatch.setattr(auth.providers, "TIMEOUT_S", 0.3)
    provider.bend.responses[DISCOVERY] = lambda: StreamingResponse(drip())
    assert (await browser.get(f"/auth/oidc/{NAME}")).status_code == 503


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [("access_denied", 400, "did not sign you in"), ("something else", 400, "did not sign you in"),
     ("temporarily_unavailable", 503, "cannot be reached right now"), ("unauthorized_client", 502, "is not set up right")],
)  # fmt: skip
async def test_a_no_from_the_provider_is_a_page_with_a_way_on(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, error: str, status: int, sentence: str
) -> None:
    provider.bend.answer = {"error": error, "code": DROP}
    page = await sign_in(browser, provider)
    assert page.status_code == status
    assert sentence in alert(page)
    assert 'href="/auth/oidc/acme?next=%2Fsomewhere">Try again<' in page.text
    assert 'href="/auth/sign-in?next=%2Fsomewhere">Choose another way' in page.text
    assert provider.forms == []


async def test_a_wrong_client_secret_is_said_to_be_the_administrators_matter(
    database: Engine, provider: HostileProvider, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(database, ProviderSettings(NAME, "Acme", provider.issuer, CLIENT_ID, "wrong"))
    async with site.browser() as browser:
        page = await sign_in(browser, provider)
    assert "python app.py doctor" in alert(page)
    assert "invalid_client; compare client id, client secret" in logged(caplog)


async def test_who_is_not_admitted_may_try_with_another_account(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider
) -> None:
    provider.person |= {"sub": "eve-1", "email": "eve@example.com"}
    page = await sign_in(browser, provider)
    assert page.status_code == 403
    assert alert(page).startswith("The address eve@example.com is not on this server")
    assert 'href="/auth/oidc/acme?next=%2Fsomewhere&amp;again=">Sign in with another account<' in page.text
    assert site.people() == []
    assert site.audited() == [("sign-in-refused", {"method": NAME, "reason": "not admitted", "email": "eve@example.com"})]


async def test_a_closed_account_stays_out_and_is_told_so(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider
) -> None:
    session = assert_in(await sign_in(browser, provider), site, browser)
    site.auth.people.set_disabled(session.account.id, True)
    site.auth.sessions.refresh()
    browser.cookies.delete(SESSION)
    assert "closed this account" in alert(await sign_in(browser, provider))
    assert SESSION not in browser.cookies
    [refused] = site.auth.audit.entries("sign-in-refused", "ADA@")
    assert (refused.subject_id, refused.details["reason"]) == (session.account.id, "shut out")


async def test_an_invitation_is_used_and_audited_once(database: Engine, provider: HostileProvider) -> None:
    site = Site(database, settings_of(provider), admission=Admission())
    provider.clock = lambda: site.now().timestamp()
    made = site.auth.invitations.invite("ada@example.com", "admin", "owner", site.now() + timedelta(days=7))
    async with site.browser() as browser:
        for _ in range(2):
            session = assert_in(await sign_in(browser, provider), site, browser)
    assert session.account.role == "admin"
    assert [event for event, _ in site.audited()] == ["invitation-used", "sign-in", "sign-in"]
    assert site.auth.audit.entries("invitation-used")[0].subject_id == made.id


async def test_a_new_sign_in_ends_the_session_before(site: Site, browser: httpx.AsyncClient, provider: HostileProvider) -> None:
    assert_in(await sign_in(browser, provider), site, browser)
    old = browser.cookies[SESSION]
    assert_in(await sign_in(browser, provider), site, browser)
    assert site.auth.sessions.find(old) is None


# States.


def test_a_flood_drops_its_own_states(any_database: Engine) -> None:
    """First those of its own network; and if all networks together hold too many, those of whoever holds the most."""
    store = States(any_database, Vault([SECRET]), per_network=5, in_all=12)
    victims = [store.begin(NAME, "victim", "/", "192.0.2.7").state]
    flood = [store.begin(NAME, "eve", "/", f"2001:db8:1:{number}::1").state for number in range(8)]
    assert count(any_database) == 6
    assert [store.take(state, NAME, "eve") is not None for state in flood] == [False] * 3 + [True] * 5, "the oldest went"
    victims += [
        store.begin(NAME, "victim", "/", address).state for address in ("192.0.2.8", "", "::ffff:192.0.2.7", "no address")
    ]
    for number in range(30):
        store.begin(NAME, "eve", "/", f"198.51.100.{number % 3}")
    assert count(any_database) <= 12
    assert all(store.take(state, NAME, "victim") for state in victims)


def test_what_is_over_is_deleted(any_database: Engine) -> None:
    now = Now()
    store = States(any_database, Vault([SECRET]), now)
    store.begin(NAME, "browser", "/")
    now.move(minutes=10)
    store.begin(NAME, "browser", "/")
    assert count(any_database) == 1


def count(database: Engine) -> int:
    with database.begin() as connection:
        return connection.execute(select(func.count()).select_from(states)).scalar() or 0


def test_a_state_outlives_a_rotation_of_the_servers_secret_but_not_its_loss(database: Engine) -> None:
    old, new = States(database, Vault([SECRET])), "another secret of the server, long enough"
    first, second, third = (old.begin(NAME, "browser", "/") for _ in range(3))
    assert States(database, Vault([new, SECRET])).take(first.state, NAME, "browser") == first
    assert States(database, Vault([new])).take(second.state, NAME, "browser") is None
    with database.begin() as connection:  # a verifier moved to another row is good for nothing
        connection.execute(update(states).values(state_hash="x" * 64))
    assert old.take(third.state, NAME, "browser") is None


# Whatever a provider says, it is refused as such, and nothing else happens.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("https://x.example/y"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = ("iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "at_hash", "amr", "auth_time", "acr", "jti")


@given(st.dictionaries(st.sampled_from([*DOCUMENTS["Keycloak"][0], "token_endpoint_auth_methods_supported"]), JSON))
@settings(max_examples=300, deadline=None, database=None)
def test_any_discovery_document_is_read_or_refused(change: dict[str, Any]) -> None:
    document = DOCUMENTS["Keycloak"][0] | change
    try:
        read = read_metadata(document, DOCUMENTS["Keycloak"][0]["issuer"])
    except Misconfigured:
        return
    assert all(url.startswith("https://") for url in (read.authorization_endpoint, read.token_endpoint, read.jwks_uri))


@given(
    st.text() | st.lists(st.sampled_from(["e30", "eyJhbGciOiJSUzI1NiJ9", "W10", "bnVsbA", "", "ImFsZyI", "!"])).map(".".join),
    JSON,
)
@settings(max_examples=300, deadline=None, database=None)
def test_any_text_in_an_id_tokens_place_is_refused(text: str, key: Any) -> None:
    with pytest.raises(Untrusted):
        IdToken(text, "RS256").claims([key, {"kty": "RSA", "n": "x" * 342, "e": "AQAB", "extra": key}])


@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1), JSON)
@settings(max_examples=500, deadline=None, database=None)
def test_any_claims_are_right_or_refused(change: dict[str, Any], access_token: Any) -> None:
    from authlib.oidc.core import CodeIDToken

    good = {"iss": "https://x.example", "sub": "ada", "aud": "us", "exp": 1300, "iat": 1000, "nonce": "n"}
    try:
        check_claims(CodeIDToken(good | change, {"alg": "RS256"}), "https://x.example", "us", "n", access_token, 1000)
    except Untrusted:
        return
    kept = good | change
    assert kept["aud"] in ("us", ["us"])
    assert (kept["iss"], kept["nonce"]) == ("https://x.example", "n")
    assert kept["sub"]


@given(st.dictionaries(st.sampled_from(["email", "email_verified", "hd", "name", "xms_edov"]), JSON | st.just("a@b.example")))
@settings(max_examples=300, deadline=None, database=None)
def test_any_identity_fits_the_database(claims: dict[str, Any]) -> None:
    for issuer in (GOOGLE, f"{TENANT}/v2.0", "https://x.example"):
        one = identity_of({**claims, "sub": "x"}, issuer)
        assert (one.name + one.email + one.domain).isprintable()
        assert (len(one.name) <= 255, len(one.email) <= 320, len(one.domain) <= 255) == (True, True, True)


def test_who_uses_no_provider_waits_for_no_library() -> None:
    """A tenth of a second of every start."""
    check = "import sys, auth.routes; print([name for name in ('authlib', 'joserfc', 'httpx2') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip() == "[]"
