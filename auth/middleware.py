"""The guard: one pure-ASGI class around everything, for http and websockets alike.

It decides from the cookie alone (on the API from the token alone) who is asking, tells the app inside by `scope["user"]` and by
headers that no client can set, and refuses what has no session but for a short list of paths. Frontends only ever see a user.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from auth.sessions import Session, Sessions
from auth.site import Peers, Site

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

log = logging.getLogger("portico.auth")

SIGNED_OUT = 4401  # the websocket close code; 4000-4999 are for applications (RFC 6455, 7.4.2)
OUR_COOKIES = ("", "oidc", "browser")  # auth/site.py says what each is for
ANONYMOUS = frozenset({"/healthz", "/manifest.json"})
STATIC = "/static/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Names by which proxies tell who or where a client is. What a trusted one says is read by auth/site.py; the apps inside see none,
# and no name with an underscore either, which WSGI-style readers take for a hyphen.
IDENTITY_HEADER = re.compile(
    rb"^(x-auth|x-forwarded|forwarded$|x-real-ip|x-original|x-rewrite|x-remote|remote-|x-user|x-email|x-webauth|x-authentik|"
    rb"x-goog-authenticated|x-ms-client-principal|x-client|cf-|true-client|tailscale-)|_"
)

CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self' 'unsafe-inline'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "frame-src 'self'",
    "frame-ancestors 'self'",
    "base-uri 'self'",
    "form-action 'self'",
    "object-src 'none'",
))  # fmt: skip
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), payment=(), usb=()"),
]
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Guard:
    """Wraps `app`. `public` are the paths that need no session, `half` those that a half signed-in session reaches besides.

    A path that ends in "/" stands for everything beneath it. Beneath `api` a token is asked for instead of the cookie, and
    `find_token` gives the session of a good one. `peers` knows which proxies are trusted.
    """

    def __init__(
        self,
        app: App,
        sessions: Sessions,
        site: Site,
        public: Iterable[str] = (),
        half: Iterable[str] = (),
        api: str = "/v1/",
        find_token: Callable[[str], Session | None] = lambda token: None,
        peers: Peers | None = None,
    ) -> None:
        self._app, self._sessions, self._site, self._peers = app, sessions, site, peers or Peers()
        self._public, self._half, self._api, self._find_token = _Paths(public), _Paths(half), api, find_token
        self._open: dict[str, set[_Connection]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        sessions.on_revoke.append(self.close_session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._loop = asyncio.get_running_loop()
        headers: Headers = scope["headers"]
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        host = hosts[0] if len(hosts) == 1 else ""
        origin = self._site.origin(host)
        secured = self._with_security_headers(send, https=(origin or self._site.public).startswith("https:"))
        try:
            session = await self._session(scope, host)
        except SQLAlchemyError:
            log.warning("the database cannot be reached, so nobody can be let in", exc_info=True)
            await _away(scope, receive, secured)
            return
        if refusal := self._refusal(scope, origin, session):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": SIGNED_OUT if refusal.status_code == 401 else 1008})
            else:
                await refusal(scope, receive, secured)
            return
        inner = self._inner(scope, host, session)
        if session is None:
            await self._app(inner, receive, secured)
        else:
            await self._run(session, inner, receive, secured)

    async def _session(self, scope: Scope, host: str) -> Session | None:
        if scope["path"] in ANONYMOUS or scope["path"].startswith(STATIC):
            return None  # what asks nobody's name must answer while the database is away
        headers: Headers = scope["headers"]
        if scope["path"].startswith(self._api):
            kind, _, token = _header(headers, b"authorization").decode("latin-1").partition(" ")
            return self._find_token(token.strip()) if kind.lower() == "bearer" else None
        name = self._site.cookie(host).name
        token = next((value for cookie, value in _cookies(headers) if cookie == name), "")
        if not token:
            return None
        # One that is not known yet takes a look into the database, for which the other requests do not wait. It is looked up
        # again then, since it may have been revoked meanwhile, and what is let in is booked in this same turn of the loop.
        if not self._sessions.knows(token) and await asyncio.to_thread(self._sessions.find, token) is None:
            return None
        return self._sessions.find(token)

    def _refusal(self, scope: Scope, origin: str | None, session: Session | None) -> Response | None:
        """Why this request does not go in, as the response to give, or None."""
        if origin is None:
            return PlainTextResponse("Portico does not serve this address. Open the one that it printed in its terminal.", 400)
        websocket, path = scope["type"] == "websocket", scope["path"]
        if "\0" in path:  # PostgreSQL takes none
            return PlainTextResponse("There is no such page.", 404)
        by_token = session is not None and bool(session.scopes)  # nothing that a browser adds by itself let this one in
        if (websocket or scope["method"] not in SAFE_METHODS) and not by_token:
            if path.startswith(self._api):
                return _token_first()
            if not _same_origin(scope["headers"], origin, websocket):
                return PlainTextResponse("This request came from another site, so it was refused.", 403)
        if self._public.have(path) or (session and session.level == "full"):
            return None
        if session and self._half.have(path):
            return None
        if path.startswith(self._api):
            return _token_first()
        return _second_factor_first(scope) if session else _sign_in_first(scope)

    def _inner(self, scope: Scope, host: str, session: Session | None) -> Scope:
        """What the app inside sees: no identity but ours, and none of our cookies but in `scope["our_cookies"]`, by kind."""
        known = {self._site.cookie(host, kind).name: kind for kind in OUR_COOKIES}
        headers: Headers = scope["headers"]
        cookies = _cookies(headers)
        hidden = (b"cookie", b"authorization")
        kept = [(name, value) for name, value in headers if not IDENTITY_HEADER.search(name.lower()) and name not in hidden]
        if others := "; ".join(f"{name}={value}" for name, value in cookies if name not in known):
            kept.append((b"cookie", others.encode("latin-1")))
        full = session if session and session.level == "full" else None
        if full:
            account = full.account
            kept += [
                (b"x-auth-user", quote(account.id, safe="").encode()),
                (b"x-auth-name", quote(account.name, safe="").encode()),
                (b"x-auth-role", account.role.encode()),
                (b"x-auth-session", full.id.encode()),
            ]
            if account.quota is not None:
                kept.append((b"x-auth-quota", str(account.quota).encode()))
        ours = {known[name]: value for name, value in reversed(cookies) if name in known}
        seen = {**scope, "headers": kept, "user": full, "session": session, "our_cookies": ours}
        return {**seen, **self._peers.describe(scope)}

    def _with_security_headers(self, send: Send, https: bool) -> Send:
        extra = [*SECURITY_HEADERS, HSTS] if https else SECURITY_HEADERS
        ours = {name for name, _ in extra}

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                given: Headers = [
                    (name, value)
                    for name, value in message.get("headers", [])
                    if name.lower() not in ours and not name.lower().startswith(b"access-control-")
                ]
                if not any(name.lower() == b"cache-control" for name, _ in given):
                    given.append((b"cache-control", b"no-store"))
                message = {**message, "headers": given + extra}
            await send(message)

        return secured

    async def _run(self, session: Session, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app so that a revocation of the session ends it, and so does its absolute timeout."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the guard runs in a task")
        loop = asyncio.get_running_loop()
        connection = _Connection(loop, task)
        self._open.setdefault(session.id, set()).add(connection)
        timeout = loop.call_later(self._sessions.ends_in(session), connection.revoke)

        async def watched(message: Message) -> None:
            connection.answered |= message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not connection.revoked:
                raise
            task.uncancel()
            # A websocket is told why. A stream of events is left unterminated: its reader then knows that it was cut.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": SIGNED_OUT})
            elif not connection.answered:
                await _sign_in_first(scope)(scope, receive, send)
        finally:
            timeout.cancel()
            held = self._open[session.id]
            held.discard(connection)
            if not held:
                del self._open[session.id]

    def close_session(self, session_id: str) -> None:
        """End what the session holds open. From a thread it is done on the event loop: a request that was let in a moment
        before the revocation is among `_open` by then."""
        loop = self._loop
        if loop is None or _current_task() is not None:
            self._close(session_id)
        else:
            with suppress(RuntimeError):  # the loop is closed, and with it everything that was open
                loop.call_soon_threadsafe(self._close, session_id)

    def _close(self, session_id: str) -> None:
        for connection in tuple(self._open.get(session_id, ())):
            connection.revoke()


class _Paths:
    """Paths, and folders of paths (those that end in "/")."""

    def __init__(self, paths: Iterable[str]) -> None:
        given = tuple(paths)
        self._files = frozenset(path for path in given if not path.endswith("/"))
        self._folders = tuple(path for path in given if path.endswith("/"))

    def have(self, path: str) -> bool:
        return path in self._files or (path.startswith(self._folders) and ".." not in path)


@dataclass(eq=False, slots=True)
class _Connection:
    """A request or websocket that is being served."""

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[Any]
    revoked: bool = False
    answered: bool = False

    def revoke(self) -> None:
        if self.task is not _current_task():  # the request that signs out still has its answer to give
            self.revoked = True
            self.loop.call_soon_threadsafe(self.task.cancel)


def _sign_in_first(scope: Scope) -> Response:
    """For a page the way to sign in and back, for anything else a 401."""
    if scope["type"] == "http" and b"text/html" in _header(scope["headers"], b"accept"):
        if scope["method"] != "GET":  # a form whose session ended before it was sent: its address is seldom a page
            return RedirectResponse("/auth/sign-in", 303)
        target = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        return RedirectResponse("/auth/sign-in?next=" + quote(target, safe=""), 303)
    return JSONResponse({"error": "Sign in first, at /auth/sign-in."}, 401)


def _second_factor_first(scope: Scope) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and b"text/html" in _header(scope["headers"], b"accept"):
        return RedirectResponse("/auth/two-factor", 303)
    return JSONResponse({"error": "Finish signing in first, at /auth/two-factor."}, 401)


def _token_first() -> Response:
    error = {
        "message": "Give an API token (Authorization: Bearer ...); your account page makes one.",
        "type": "authentication_error", "param": None, "code": "invalid_api_key",
    }  # fmt: skip
    return JSONResponse({"error": error}, 401, headers={"WWW-Authenticate": "Bearer"})


def _same_origin(headers: Headers, origin: str, websocket: bool) -> bool:
    if not websocket and _header(headers, b"sec-fetch-site") == b"same-origin":
        return True
    return [value.decode("latin-1") for name, value in headers if name == b"origin"] == [origin]


async def _away(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})  # try again later
        return
    sentence = "The database cannot be reached right now, so nobody can be let in. Try again in a moment."
    await PlainTextResponse(sentence, 503, headers={"Retry-After": "5"})(scope, receive, send)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # called from a thread
        return None


def _header(headers: Headers, wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"")


def _cookies(headers: Headers) -> list[tuple[str, str]]:
    """The cookies as (name, value), in order. One that is malformed hides none of the others."""
    parts = (part for name, value in headers if name == b"cookie" for part in value.decode("latin-1").split(";"))
    return [(name.strip(), value.strip()) for name, _, value in (part.partition("=") for part in parts)]
