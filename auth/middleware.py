"""The guard: one pure-ASGI class around everything, for http and websockets alike.

It decides from the cookie alone who is asking, tells the app inside by `scope["user"]` and by headers that no client can set,
and refuses what has no session but for a short list of paths. Frontends inside only ever see a user.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from auth.sessions import ABSOLUTE, Session, Sessions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

SIGNED_OUT = 4401  # the websocket close code; 4000-4999 are for applications (RFC 6455, 7.4.2)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

# Names by which proxies tell who or where a client is. Nobody in front of us is trusted to set them yet, so all are dropped,
# as is every name with an underscore, which WSGI-style readers take for a hyphen.
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


@dataclass(frozen=True, slots=True)
class Cookie:
    """The session's cookie. Cookies do not tell ports apart, so on plain http its name carries ours."""

    port: int
    secure: bool = False

    @property
    def name(self) -> str:
        return "__Host-portico" if self.secure else f"portico-{self.port}"

    def set(self, response: Response, token: str) -> None:
        max_age = int(ABSOLUTE.total_seconds())
        response.set_cookie(self.name, token, max_age=max_age, path="/", secure=self.secure, httponly=True, samesite="lax")

    def clear(self, response: Response) -> None:
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")


class Guard:
    """Wraps `app`. `hosts` are the Host headers that are ours, `public` the paths that need no session.

    A `public` path that ends in "/" stands for everything beneath it.
    """

    def __init__(self, app: App, sessions: Sessions, cookie: Cookie, hosts: Collection[str], public: Iterable[str] = ()) -> None:
        self._app, self._sessions, self._cookie = app, sessions, cookie
        self._hosts = frozenset(host.lower() for host in hosts)
        paths = tuple(public)
        self._public = frozenset(path for path in paths if not path.endswith("/"))
        self._public_folders = tuple(path for path in paths if path.endswith("/"))
        self._open: dict[str, set[_Connection]] = {}
        sessions.on_revoke.append(self._close_session)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        secured = self._with_security_headers(send)
        headers: Headers = scope["headers"]
        session = self._session(headers)
        if refusal := self._refusal(scope, session):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": SIGNED_OUT if refusal.status_code == 401 else 1008})
            else:
                await refusal(scope, receive, secured)
            return
        inner = {**scope, "headers": self._inner_headers(headers, session), "user": session}
        if session is None:
            await self._app(inner, receive, secured)
        else:
            await self._run(session, inner, receive, secured)

    def _session(self, headers: Headers) -> Session | None:
        token = next((value for name, value in _cookies(headers) if name == self._cookie.name), None)
        return self._sessions.find(token) if token else None

    def _refusal(self, scope: Scope, session: Session | None) -> Response | None:
        """Why this request does not go in, as the response to give, or None."""
        headers: Headers = scope["headers"]
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return PlainTextResponse("Portico does not serve this address. Open the one that it printed in its terminal.", 400)
        websocket = scope["type"] == "websocket"
        if (websocket or scope["method"] not in SAFE_METHODS) and not self._same_origin(headers, hosts[0], websocket):
            return PlainTextResponse("This request came from another site, so it was refused.", 403)
        if session or self._is_public(scope["path"]):
            return None
        return _sign_in_first(scope)

    def _same_origin(self, headers: Headers, host: str, websocket: bool) -> bool:
        if not websocket and _header(headers, b"sec-fetch-site") == b"same-origin":
            return True
        scheme = "https" if self._cookie.secure else "http"
        return [value.decode("latin-1") for name, value in headers if name == b"origin"] == [f"{scheme}://{host}"]

    def _is_public(self, path: str) -> bool:
        return path in self._public or (path.startswith(self._public_folders) and ".." not in path)

    def _inner_headers(self, headers: Headers, session: Session | None) -> Headers:
        """What the app inside sees: no identity but ours, and not the session's token."""
        kept = [(name, value) for name, value in headers if not IDENTITY_HEADER.search(name.lower()) and name != b"cookie"]
        if others := "; ".join(f"{name}={value}" for name, value in _cookies(headers) if name != self._cookie.name):
            kept.append((b"cookie", others.encode("latin-1")))
        if session:
            account = session.account
            kept += [
                (b"x-auth-user", quote(account.id, safe="").encode()),
                (b"x-auth-name", quote(account.name, safe="").encode()),
                (b"x-auth-role", account.role.encode()),
                (b"x-auth-session", session.id.encode()),
            ]
        return kept

    def _with_security_headers(self, send: Send) -> Send:
        extra = [*SECURITY_HEADERS, HSTS] if self._cookie.secure else SECURITY_HEADERS
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

    def _close_session(self, session_id: str) -> None:
        for connection in tuple(self._open.get(session_id, ())):
            connection.revoke()


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
    if scope["type"] == "http" and scope["method"] == "GET" and b"text/html" in _header(scope["headers"], b"accept"):
        target = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        return RedirectResponse("/auth/sign-in?next=" + quote(target, safe=""), 303)
    return JSONResponse({"error": "Sign in first, at /auth/sign-in."}, 401)


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
