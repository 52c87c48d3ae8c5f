"""The provider: its discovery document, its answer to the callback, and the address that it sends people back to."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select
from starlette.responses import JSONResponse, PlainTextResponse

from auth.store import states
from tests.support.hostile import (
    DISCOVERY,
    DROP,
    Bend,
    HostileProvider,
    redirect_elsewhere,
)
from tests.support.oidc import (
    NAME,
    Site,
    assert_in,
    assert_this_alone_is_refused,
    parameters,
    settings_of,
    sign_in,
)

Log = pytest.LogCaptureFixture


DOCUMENTS: dict[str, Bend] = {
    "no issuer": Bend(document={"issuer": DROP}),
    "another issuer": Bend(document={"issuer": "https://evil.example"}),
    "a slash more": Bend(document={"issuer": "{issuer}/"}),
    "null": Bend(document={"issuer": None}),
    "a list": Bend(document={"issuer": ["{issuer}"]}),
    "authorization endpoint by http": Bend(document={"authorization_endpoint": "http://evil.example/authorize"}),
    "token endpoint by http": Bend(document={"token_endpoint": "http://evil.example/token"}),
    "keys by http": Bend(document={"jwks_uri": "http://evil.example/keys"}),
    "no token endpoint": Bend(document={"token_endpoint": DROP}),
    "keys in a file": Bend(document={"jwks_uri": "file:///etc/passwd"}),
    "script": Bend(document={"authorization_endpoint": "javascript:alert(1)//x"}),
    "with a password": Bend(document={"token_endpoint": "https://user:word@evil.example/token"}),
    "no host": Bend(document={"token_endpoint": "https:///token"}),
    "broken address": Bend(document={"token_endpoint": "https://[::1"}),
    "unknown client authentication": Bend(document={"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
    "redirect": Bend(responses={DISCOVERY: redirect_elsewhere}),
    "no JSON": Bend(responses={DISCOVERY: lambda: PlainTextResponse("<html>")}),
    "a list instead": Bend(responses={DISCOVERY: lambda: JSONResponse(["issuer"])}),
    "nested too deep": Bend(responses={DISCOVERY: lambda: PlainTextResponse("[" * 100_000)}),
    "endless": Bend(document={"more": "x" * 600_000}),
    "not found": Bend(responses={DISCOVERY: lambda: PlainTextResponse("", 404)}),
    "out of order": Bend(responses={DISCOVERY: lambda: PlainTextResponse("", 500)}),
}


@pytest.mark.parametrize("fault", DOCUMENTS)
async def test_a_wrong_discovery_document_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 5: a document of another issuer, or with endpoints that are not safe; nobody is sent anywhere by it."""
    filled = json.loads(json.dumps(DOCUMENTS[fault].document, default=lambda one: "DROP").replace("{issuer}", provider.issuer))
    document = {name: DROP if value == "DROP" else value for name, value in filled.items()}
    provider.bend = Bend(document=document, responses=DOCUMENTS[fault].responses)
    answer = await browser.get(f"/auth/oidc/{NAME}?next=/somewhere")
    assert answer.status_code in (400, 502, 503)
    assert "location" not in answer.headers
    assert "evil.example" not in answer.text
    assert 'role="alert"' in answer.text
    with site.database.begin() as connection:
        assert connection.execute(select(states)).all() == []
    provider.bend = Bend()
    site.now.move(minutes=1)
    assert_in(await sign_in(browser, provider), site, browser)


ANSWERS: dict[str, Bend] = {
    "another issuer": Bend(answer={"iss": "https://evil.example"}), "an empty issuer": Bend(answer={"iss": ""}),
    "a slash more": Bend(answer={"iss": "{issuer}/"}), "two issuers": Bend(answer={"iss": ["{issuer}", "https://evil.example"]}),
    "the same twice": Bend(answer={"iss": ["{issuer}", "{issuer}"]}),
    "no issuer, though it promised one": Bend(document={"authorization_response_iss_parameter_supported": True}),
    "another issuer's error": Bend(answer={"iss": "https://evil.example", "error": "access_denied", "code": DROP}),
    "no code": Bend(answer={"code": DROP}), "an empty code": Bend(answer={"code": ""}),
    "two codes": Bend(answer={"code": ["a", "b"]}),
    "another code": Bend(answer={"code": "another"}), "a strange code": Bend(answer={"code": "\x00 é&code=x"}),
    "an error beside the code": Bend(answer={"error": "access_denied"}),
}  # fmt: skip


@pytest.mark.parametrize("fault", ANSWERS)
async def test_an_answer_of_another_issuer_is_refused(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: Log, fault: str
) -> None:
    """CHECKLIST 11: iss on the callback wrong, or missing where it is promised (RFC 9207); and answers without a code."""
    bend = ANSWERS[fault]
    filled = {name: fill(value, provider.issuer) for name, value in bend.answer.items()}
    await assert_this_alone_is_refused(Bend(answer=filled, document=bend.document), site, browser, provider, caplog)


def fill(value: Any, issuer: str) -> Any:
    if isinstance(value, list):
        return [fill(one, issuer) for one in value]
    return value.replace("{issuer}", issuer) if isinstance(value, str) else value


@pytest.mark.parametrize("promised", [True, False])
async def test_an_answer_that_names_its_issuer_is_taken(
    site: Site, browser: httpx.AsyncClient, provider: HostileProvider, promised: bool
) -> None:
    """CHECKLIST 11: promised or not, the right one is good."""
    provider.bend = Bend(
        answer={"iss": provider.issuer}, document={"authorization_response_iss_parameter_supported": promised}
    )  # fmt: skip
    assert_in(await sign_in(browser, provider), site, browser)


@pytest.mark.parametrize(
    "headers", [{}, {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example"}], ids=str
)
async def test_the_redirect_address_comes_from_the_settings(
    database: Engine, provider: HostileProvider, headers: dict[str, str]
) -> None:
    """CHECKLIST 18: at another Host of ours the browser is sent to the public address first; forwarded headers change nothing."""
    public = "https://demo.example.com"
    site = Site(database, settings_of(provider), public=public)
    provider.clock = lambda: site.now().timestamp()
    async with site.browser("http://localhost:7860", **headers) as local:
        moved = await local.get(f"/auth/oidc/{NAME}?next=/x%3Fy&again")
        assert moved.headers["location"] == f"{public}/auth/oidc/{NAME}?next=%2Fx%3Fy&again="
        assert "set-cookie" not in moved.headers
        assert (await local.get(f"/auth/oidc/{NAME}", headers={"host": "evil.example"})).status_code == 400
    async with site.browser(public, **headers) as browser:
        url = (await browser.get(f"/auth/oidc/{NAME}")).headers["location"]
        assert parameters(url)["redirect_uri"] == f"{public}/auth/callback/{NAME}"
        answer = await browser.get(provider.authorize(url))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert provider.forms[0]["redirect_uri"] == f"{public}/auth/callback/{NAME}"
