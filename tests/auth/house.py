"""The way in behind the guard, over a test's database: people, their apps, their browsers, and what lies behind the door."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyotp
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from auth.flows import SignIn
from auth.middleware import Guard
from auth.routes import HALF, PUBLIC
from auth.routes.common import Pages
from auth.routes.passkeys import passkey_routes
from auth.routes.sign_in import sign_in_routes
from auth.routes.two_factor import SecondFactorStage, two_factor_routes
from auth.sessions import Account, Session
from portal.pages import render
from tests.support.auth import Now, make_auth

ADA, BO = Account("ada", "Ada", "member"), Account("bo", "Bo", "member")


class House:
    """Auth behind its guard, at the time that the test says. Whatever is no page of auth answers "inside"."""

    def __init__(self, database: Engine, **options: Any) -> None:
        self.now = Now()
        self.auth = make_auth(database, self.now, **options)
        self.pages = Pages(self.auth, render)
        self.pages.stages.append(SecondFactorStage(self.auth, self.pages))
        routes: list[BaseRoute] = [
            *sign_in_routes(self.auth, self.pages, lambda: None),
            *two_factor_routes(self.auth, self.pages),
            *passkey_routes(self.auth, self.pages),
            Route("/auth/callback/{provider}", self._from_provider),
            Route("/{path:path}", self._inside, methods=["GET", "POST"]),
            WebSocketRoute("/{path:path}", self._inside_websocket),
        ]
        self.app = Guard(
            Starlette(routes=routes), self.auth.sessions, self.auth.site, PUBLIC, HALF, find_token=self.auth.tokens.find
        )
        for account in (ADA, BO):
            self.auth.sessions.revoke_all(self.find(self.auth.sessions.create(account)).account.id)

    async def _from_provider(self, request: Request) -> Response:
        """Stands for a provider's callback: who comes here has shown the first factor."""
        asked = request.query_params
        account = Account(asked.get("user", "ada"), asked.get("user", "ada").title(), asked.get("role", "member"))
        return self.pages.admit(SignIn(request, account, request.path_params["provider"], asked.get("next", "/")))

    async def _inside(self, request: Request) -> Response:
        return PlainTextResponse("inside")

    async def _inside_websocket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    def client(self) -> httpx.AsyncClient:
        """A browser on this machine, at the public address."""
        transport, base = httpx.ASGITransport(self.app, client=("127.0.0.1", 5)), self.auth.site.public
        return httpx.AsyncClient(transport=transport, base_url=base, headers={"origin": base, "accept": "text/html"})

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return self.auth.site.cookie(self.auth.site.host).name

    def enter(self, client: httpx.AsyncClient, account: Account = ADA, level: str = "full", method: str = "google") -> Session:
        """Give the browser a session."""
        token = self.auth.sessions.create(account, level, method, next="/?c=7")
        client.cookies.clear()
        client.cookies.set(self.cookie, token, urlsplit(self.auth.site.public).hostname or "")
        return self.find(token)

    def session(self, client: httpx.AsyncClient) -> Session | None:
        """What the browser's cookie is good for."""
        return self.auth.sessions.find(client.cookies.get(self.cookie) or "")

    def find(self, token: str) -> Session:
        found = self.auth.sessions.find(token)
        assert found
        return found

    def enrol(self, user: str = "ada") -> str:
        """An authenticator app for `user`; its secret. Its last code was taken a step ago."""
        secret = self.auth.totp.begin(user, user).secret
        assert self.auth.totp.confirm(user, self.code(secret))
        self.now.move(seconds=30)
        return secret

    def code(self, secret: str, steps: int = 0) -> str:
        """What the app shows now, or `steps` of 30 seconds later."""
        return pyotp.TOTP(secret).at(self.now(), counter_offset=steps)

    def wrong(self, secret: str) -> str:
        """Six digits that are none of the codes around now."""
        near = {self.code(secret, step) for step in range(-3, 4)}
        return next(code for code in map("{:06}".format, range(10)) if code not in near)

    def events(self) -> list[str]:
        """The audit log's, the oldest first."""
        return [entry.event for entry in reversed(self.auth.audit.entries())]


def alert(page: httpx.Response) -> str:
    """What a page says in its alerts."""
    return " ".join(re.findall(r'role="alert">([^<]+)</', page.text))
