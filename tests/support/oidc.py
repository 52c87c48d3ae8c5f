"""Signing in at the hostile provider, through the real routes behind the real guard."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import Engine, select
from starlette.applications import Starlette

from auth.middleware import Guard
from auth.oidc import ProviderSettings
from auth.people import Admission
from auth.routes.common import Pages
from auth.routes.oidc import oidc_routes
from auth.routes.sign_in import sign_in_routes
from auth.sessions import Session
from auth.store import audit, users
from portal.pages import render
from tests.support.auth import BASE, Now, make_auth
from tests.support.hostile import CLIENT_ID, CLIENT_SECRET, Bend, HostileProvider

SESSION, BROWSER = "portico-7860", "portico-7860-oidc"
LISTED = Admission(emails=frozenset({"ada@example.com"}))
PUBLIC = ["/auth/sign-in", "/auth/oidc/", "/auth/callback/"]
NAME = "acme"


def settings_of(provider: HostileProvider, name: str = NAME, **others: str) -> ProviderSettings:
    return ProviderSettings(name, "Acme", provider.issuer, CLIENT_ID, CLIENT_SECRET, **others)


class Site:
    """The pages, for any number of browsers. Whoever signs in has a full session at once: second factors are tested elsewhere."""

    def __init__(self, database: Engine, *providers: ProviderSettings, admission: Admission = LISTED, public: str = BASE) -> None:
        self.now, self.database = Now(), database
        self.auth = make_auth(database, self.now, public, providers=providers, admission=admission)
        pages = Pages(self.auth, render)
        routes = [*oidc_routes(self.auth, pages), *sign_in_routes(self.auth, pages, lambda: None)]
        self.guard = Guard(Starlette(routes=routes), self.auth.sessions, self.auth.site, PUBLIC, peers=self.auth.peers)

    def browser(self, base: str = BASE, peer: str = "192.0.2.7", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.guard, client=(peer, 5))
        return httpx.AsyncClient(transport=transport, base_url=base, headers={"accept": "text/html", **headers})

    def session(self, browser: httpx.AsyncClient) -> Session | None:
        return self.auth.sessions.find(browser.cookies.get(SESSION, ""))

    def people(self) -> list[Any]:
        with self.database.begin() as connection:
            return list(connection.execute(select(users)).all())

    def audited(self) -> list[tuple[str, dict[str, str]]]:
        with self.database.begin() as connection:
            return [(row.event, row.details) for row in connection.execute(select(audit).order_by(audit.c.id)).all()]


async def begin(browser: httpx.AsyncClient, next: str = "/somewhere", name: str = NAME) -> str:
    """The address at the provider that the browser is sent to."""
    response = await browser.get(f"/auth/oidc/{name}", params={"next": next})
    assert response.status_code == 303, response.text
    return response.headers["location"]


async def sign_in(
    browser: httpx.AsyncClient, provider: HostileProvider, next: str = "/somewhere", name: str = NAME
) -> httpx.Response:
    """All the way there and back: the answer to the callback."""
    return await browser.get(provider.authorize(await begin(browser, next, name)))


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What the server logged; the tests' own browser is httpx, and logs the addresses that it opens."""
    kept = [record for record in caplog.records if record.name.partition(".")[0] not in ("httpx", "httpcore")]
    return "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in kept)


def assert_in(response: httpx.Response, site: Site, browser: httpx.AsyncClient, next: str = "/somewhere") -> Session:
    assert (response.status_code, response.headers.get("location")) == (303, next), response.text
    session = site.session(browser)
    assert session is not None
    return session


def assert_refused(
    response: httpx.Response, site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: pytest.LogCaptureFixture
) -> str:
    """No session, a page of one sentence with a way on, and nothing secret anywhere. The sentence."""
    assert response.status_code >= 400
    assert SESSION not in response.headers.get("set-cookie", "")
    assert SESSION not in browser.cookies
    sentence = re.search(r'<p class="error" role="alert">([A-Z][^<]+\.)</p>', response.text)
    assert sentence, response.text
    assert 'href="/auth/' in response.text
    assert_nothing_secret(response.text, site, provider, caplog)
    return sentence[1]


def assert_nothing_secret(page: str, site: Site, provider: HostileProvider, caplog: pytest.LogCaptureFixture) -> None:
    """No code, state, nonce, verifier, token or client secret in a page, the log or the audit log."""
    assert len(provider.secrets) > 1
    told = "\n".join((page, logged(caplog), str(site.audited())))
    assert [secret for secret in provider.secrets if secret in told] == []


async def assert_this_alone_is_refused(
    bend: Bend, site: Site, browser: httpx.AsyncClient, provider: HostileProvider, caplog: pytest.LogCaptureFixture
) -> str:
    """The sign-in that is bent is refused, and the same one unbent gets in. The sentence on the page."""
    provider.bend = bend
    sentence = assert_refused(await sign_in(browser, provider), site, browser, provider, caplog)
    provider.bend = Bend()
    site.now.move(hours=1)  # its documents are kept that long
    assert_in(await sign_in(browser, provider), site, browser)
    return sentence
