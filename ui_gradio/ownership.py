"""Lets a browser reach only those of Gradio's routes that the page uses, and only what its own sign-in session began.

Gradio's `session_hash` is chosen by the client and works as a bearer for streams and cancelling, so it is bound here to the
signed-in session that used it first; what an event is called is bound the same way.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SESSION_HEADER = b"x-auth-session"  # set by the guard, which strips it from what a client sends
FORWARDED = (b"x-forwarded-", b"x-gradio-", b"forwarded")  # Gradio builds its addresses from these; the guard has read them
BODY_HEADERS = (b"content-length", b"content-type", b"transfer-encoding")
MAX_OWNED = 10_000
MAX_BODY = 1_000_000

OPEN = re.compile(r"/|/theme\.css|/(?:assets|static)/[\w./@+-]+|/gradio_api/app_id")
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/([^/]+)")
STREAM = "/gradio_api/queue/data"
JOIN, CANCEL, RESET = "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def not_yours() -> Refused:
    return Refused(403, "This belongs to another session. Reload the page.")


class Owners:
    """Who used a name first, for as many names as `limit`; the one that was not used for longest goes first."""

    def __init__(self, limit: int = MAX_OWNED) -> None:
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._limit = limit

    def claim(self, name: Any, session: str) -> None:
        """Book `name` for `session`; raises Refused if it is another's, or no name at all."""
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Refused(400, "A session is missing. Reload the page.")
        if self._owners.setdefault(name, session) != session:
            raise not_yours()
        self._owners.move_to_end(name)
        if len(self._owners) > self._limit:
            self._owners.popitem(last=False)

    def check(self, name: Any, session: str) -> None:
        """Raises Refused unless `name` is booked for `session`."""
        if not isinstance(name, str) or self._owners.get(name) != session:
            raise not_yours()


class Ownership:
    """Wraps the Gradio app."""

    def __init__(self, app: ASGIApp, limit: int = MAX_OWNED) -> None:
        self.app = app
        self.hashes, self.events = Owners(limit), Owners(limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # Gradio uses none
            await send({"type": "websocket.close", "code": 4403})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if not name.startswith(FORWARDED)]
        scope = {**scope, "headers": headers}
        try:
            receive, send = await self._admit(scope, receive, send)
        except Refused as refused:
            await _answer(send, refused)
            return
        await self.app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """What to call the app with; raises Refused."""
        sessions = [value.decode("latin-1") for name, value in scope["headers"] if name == SESSION_HEADER]
        if len(sessions) != 1 or not sessions[0]:
            raise Refused(403, "Sign in first.")
        session, path = sessions[0], scope["path"].removeprefix(scope.get("root_path", ""))
        route = (scope["method"], path)
        if scope["method"] in ("GET", "HEAD") and OPEN.fullmatch(path) and ".." not in path:
            scope["query_string"] = b""  # read by our own script alone
        elif scope["method"] == "GET" and (beat := HEARTBEAT.fullmatch(path)):
            self.hashes.claim(beat[1], session)
        elif route == ("GET", STREAM):
            named = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "session_hash"]
            if len(named) != 1:
                raise Refused(400, "A session is missing. Reload the page.")
            self.hashes.claim(named[0], session)
        elif route in (("POST", JOIN), ("POST", CANCEL), ("POST", RESET)):
            return await self._admit_body(scope, receive, send, session, path)
        else:
            raise Refused(404, "There is nothing here.")
        return receive, send

    async def _admit_body(self, scope: Scope, receive: Receive, send: Send, session: str, path: str) -> tuple[Receive, Send]:
        body = await _read(receive)
        if path != JOIN:
            self.events.check(body.get("event_id"), session)
        if path != RESET:
            self.hashes.claim(body.get("session_hash"), session)
        # what was checked is what is passed on, so that nobody reads the same bytes otherwise
        checked = json.dumps(body).encode()  # _read refuses what is nested too deep for it
        kept = [(name, value) for name, value in scope["headers"] if name not in BODY_HEADERS]
        scope["headers"] = [*kept, (b"content-length", str(len(checked)).encode()), (b"content-type", b"application/json")]
        return _replay(checked, receive), self._book_event(send, session) if path == JOIN else send

    def _book_event(self, send: Send, session: str) -> Send:
        """`send`, noting whose the event is that the answer names."""
        answer = bytearray()

        async def booking(message: Message) -> None:
            if message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self._book(bytes(answer), session)
            await send(message)

        return booking

    def _book(self, answer: bytes, session: str) -> None:
        try:
            event = json.loads(answer)["event_id"]
        except (ValueError, TypeError, KeyError):  # refused by Gradio: no event
            return
        self.events.claim(event, session)


async def _read(receive: Receive) -> dict[str, Any]:
    """The request's JSON object; raises Refused if it is none, or too long."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The connection was lost.")
        body.extend(message.get("body", b""))
        if len(body) > MAX_BODY:
            raise Refused(413, "This is too long to send. Shorten it.")
        more = message.get("more_body", False)
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "This request cannot be read. Reload the page.")
    return value


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives `body` first and is then the original, which is how the end of a connection is seen."""
    sent = False

    async def replaying() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
