"""All pages under /auth behind the guard, as the app assembles them, without a server: what a test of several pages asks."""

from __future__ import annotations

import re
from typing import Any

import httpx
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from auth.guests import sweep
from auth.middleware import Guard
from auth.oidc import ProviderSettings
from auth.people import OWNER, Person
from auth.routes import HALF, PUBLIC, auth_routes
from auth.routes.admin_models import Models
from auth.sessions import Account
from portal.pages import render
from tests.support.auth import BASE, NoModels, Now, make_auth

GOOGLE = ProviderSettings("google", "Google", "https://accounts.example", "id", "provider-secret")
HTML = {"accept": "text/html", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"}


class Site:
    """The pages and what stands behind them; `forgotten` are the ids whose data were deleted, `printed` counts printed links."""

    def __init__(self, database: Engine, public: str = BASE, models: Models = NoModels(), **options: Any) -> None:  # noqa: B008
        self.now = Now()
        self.auth = make_auth(database, self.now, public, **options)
        self.forgotten: list[str] = []
        self.printed = 0
        routes = auth_routes(self.auth, render, self._print, lambda user: {"of": user}, self.forgotten.append, models)
        inner = Starlette(routes=[*routes, Route("/", lambda request: PlainTextResponse("home"))])
        self.guard = Guard(
            inner, self.auth.sessions, self.auth.site, PUBLIC, HALF, find_token=self.auth.tokens.find, peers=self.auth.peers
        )  # fmt: skip

    def _print(self) -> None:
        self.printed += 1

    def client(self, account: Account | None = None, peer: str = "192.0.2.7", **headers: str) -> httpx.AsyncClient:
        """A browser, at `peer`, in which `account` is signed in."""
        transport = httpx.ASGITransport(self.guard, client=(peer, 5))
        made = httpx.AsyncClient(transport=transport, base_url=BASE, headers={"origin": BASE, **HTML, **headers})
        if account:  # with its domain, so that a new cookie takes its place
            made.cookies.set(self.auth.site.cookie(BASE[7:]).name, self.auth.sessions.create(account), "127.0.0.1", "/")
        return made

    def guests_of(self, invitation_id: str) -> list[Person]:
        return [one for one in self.auth.people.all() if one.invitation_id == invitation_id and one.role == "guest"]

    def owner(self) -> httpx.AsyncClient:
        return self.client(OWNER, peer="127.0.0.1")

    def add(self, account: Account, email: str = "") -> Account:
        """Write the account down, as its first sign-in would."""
        self.auth.sessions.revoke_all(account.id) if self.auth.sessions.create(account) else None
        if email:
            self.auth.people._change(account.id, email=email)
        return account

    def sweep(self) -> None:
        sweep(self.auth, self.forgotten.append)

    def events(self, name: str = "") -> list[Any]:
        """The audit log, the oldest first."""
        return list(reversed(self.auth.audit.entries(name, limit=None)))


def link_of(page: httpx.Response) -> str:
    """The token that the page of a new guest link shows."""
    found = re.search(r"/auth/join#([\w-]+)", page.text)
    assert found, page.text
    return found[1]


async def join(client: httpx.AsyncClient, token: str, name: str = "") -> httpx.Response:
    return await client.post("/auth/join", data={"token": token, "name": name})
