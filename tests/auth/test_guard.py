"""The guard alone, around an app that tells what it was given."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from auth.middleware import SIGNED_OUT, Guard
from auth.sessions import Account, Sessions
from auth.site import Site
from auth.store import users, utc_now

HOST = "127.0.0.1:7860"
SITE = Site.of(f"http://{HOST}", 7860)
ADA = Account("iss|ada é", "Ada Ö", "member")


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the headers and the user that it sees; `/stream` never ends."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["user"].account.id})
        await receive()
        return
    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    user = scope["user"].account.id if scope["user"] else None
    given = [(b"content-type", b"application/json"), (b"access-control-allow-origin", b"*"), (b"X-Frame-Options", b"DENY")]
    await send({"type": "http.response.start", "status": 200, "headers": given})
    body = json.dumps({"headers": headers, "user": user}).encode()
    await send({"type": "http.response.body", "body": body, "more_body": scope["path"] == "/stream"})
    if scope["path"] == "/stream":
        await asyncio.Event().wait()


async def think(scope: Any, receive: Any, send: Any) -> None:
    """Never begins to answer."""
    await asyncio.Event().wait()


@pytest.fixture
def sessions(database: Engine) -> Sessions:
    return Sessions(database)


@pytest.fixture
def guard(sessions: Sessions) -> Guard:
    return Guard(tell, sessions, SITE, ["/healthz", "/static/"])


@pytest.fixture
async def client(guard: Guard) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=f"http://{HOST}") as made:
        yield made


def cookie(token: str) -> dict[str, str]:
    return {"cookie": f"portico-7860={token}"}


async def test_without_a_session_a_page_leads_to_sign_in_and_the_rest_is_refused(client: httpx.AsyncClient) -> None:
    page = await client.get("/gradio/?c=1&x=%2F", headers={"accept": "text/html,*/*"})
    assert page.status_code == 303
    assert page.headers["location"] == "/auth/sign-in?next=%2Fgradio%2F%3Fc%3D1%26x%3D%252F"
    refused = await client.get("/gradio/config")
    assert refused.status_code == 401
    assert "Sign in first" in refused.json()["error"]


async def test_the_short_public_list_is_open_and_nothing_beside_it(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json()["user"] is None
    assert (await client.get("/static/x.css")).status_code == 200
    for path in ("/healthz/", "/healthzz", "/static", "/static/../secret", "/static/%2e%2e/secret", "//healthz", "/Healthz"):
        assert (await client.get(httpx.URL(f"http://{HOST}", raw_path=path.encode()))).status_code == 401, path


async def test_a_session_goes_in_with_our_identity_headers_and_without_its_token(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    token = sessions.create(ADA)
    seen = (await client.get("/x", headers={"cookie": f"theme=dark; portico-7860={token}; other=1"})).json()
    headers = dict(seen["headers"])
    assert seen["user"] == ADA.id
    assert headers["x-auth-user"] == "iss%7Cada%20%C3%A9"
    assert headers["x-auth-name"] == "Ada%20%C3%96"
    assert headers["x-auth-role"] == "member"
    assert headers["cookie"] == "theme=dark; other=1"
    assert token not in json.dumps(seen)


async def test_a_guests_quota_goes_in_with_them_and_no_other(
    client: httpx.AsyncClient, sessions: Sessions, database: Engine
) -> None:
    """What runs behind the guard counts by it, so that nobody else may set it."""
    guest = Account("guest-1", "Zoe", "guest", 2)
    with database.begin() as connection:
        row = {"id": guest.id, "name": guest.name, "role": guest.role, "quota": guest.quota, "created_at": utc_now()}
        connection.execute(insert(users).values(row))
    for account, quotas in ((guest, ["2"]), (ADA, [])):
        seen = (await client.get("/x", headers={"X-Auth-Quota": "99", **cookie(sessions.create(account))})).json()
        assert [value for name, value in seen["headers"] if name == "x-auth-quota"] == quotas


@pytest.mark.parametrize("name", ["portico-7861", "Portico-7860", "__Host-portico", "portico"])
async def test_another_cookie_opens_nothing(client: httpx.AsyncClient, sessions: Sessions, name: str) -> None:
    assert (await client.get("/x", headers={"cookie": f"{name}={sessions.create(ADA)}"})).status_code == 401


async def test_a_malformed_cookie_hides_none_of_the_others(client: httpx.AsyncClient, sessions: Sessions) -> None:
    header = {"cookie": f'bad name="x; =; \x7f; portico-7860={sessions.create(ADA)}'}
    assert (await client.get("/x", headers=header)).status_code == 200


SPOOFED = [
    "X-Auth-User", "x-auth-user", "X_Auth_User", "x-auth_session", "X-Auth-Session", "X-Auth-Role", "X-Auth-Quota", "x-auth-name",
    "X-Forwarded-User", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Remote-User",
    "X-Remote-User", "X-User", "X-Email", "any_thing",
]  # fmt: skip


@pytest.mark.parametrize("name", SPOOFED)
async def test_a_spoofed_identity_header_never_reaches_the_app(client: httpx.AsyncClient, sessions: Sessions, name: str) -> None:
    assert (await client.get("/x", headers={name: "root"})).status_code == 401
    seen = (await client.get("/x", headers={name: "root", **cookie(sessions.create(ADA))})).json()
    assert "root" not in json.dumps(seen)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.text(alphabet="xXauthAUTH-_ uUsSeErR", min_size=1, max_size=14).map(str.strip).filter(bool), st.just("root")
        ),
        max_size=6,
    )
)
def test_no_set_of_headers_changes_who_one_is(guard: Guard, sessions: Sessions, headers: list[tuple[str, str]]) -> None:
    token = sessions.create(ADA)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    raw += [(b"host", HOST.encode()), (b"cookie", f"portico-7860={token}".encode())]
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw}
    asyncio.run(guard(scope, receive, send))
    seen = json.loads(sent[-1]["body"])
    identity = {name: value for name, value in seen["headers"] if name.startswith("x-auth")}
    assert seen["user"] == ADA.id
    assert identity == {
        "x-auth-user": "iss%7Cada%20%C3%A9", "x-auth-name": "Ada%20%C3%96", "x-auth-role": "member",
        "x-auth-session": identity["x-auth-session"],
    }  # fmt: skip
    assert identity["x-auth-session"] != "root"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:7860.evil.example", ""])
async def test_only_our_own_hosts_are_answered(client: httpx.AsyncClient, sessions: Sessions, host: str) -> None:
    answer = await client.get("/healthz", headers={"host": host, **cookie(sessions.create(ADA))})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:7861"},
        {"origin": "https://127.0.0.1:7860"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:7860.evil.example"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_an_unsafe_request_from_elsewhere_is_refused(
    client: httpx.AsyncClient, sessions: Sessions, headers: dict[str, str]
) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await client.request(method, "/x", headers={**headers, **cookie(sessions.create(ADA))})).status_code == 403
    assert (await client.post("/healthz", headers=headers)).status_code == 403, "public paths too"


@pytest.mark.parametrize("headers", [{"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"}])
async def test_an_unsafe_request_from_our_own_page_goes_in(
    client: httpx.AsyncClient, sessions: Sessions, headers: dict[str, str]
) -> None:
    assert (await client.post("/x", headers={**headers, **cookie(sessions.create(ADA))})).status_code == 200


async def test_security_headers_stand_on_every_answer(client: httpx.AsyncClient, sessions: Sessions) -> None:
    answers = [
        await client.get("/x", headers=cookie(sessions.create(ADA))),
        await client.get("/x"),
        await client.get("/x", headers={"host": "evil.example"}),
    ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers
        assert "strict-transport-security" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


async def test_https_adds_hsts_and_a_secure_cookie(sessions: Sessions) -> None:
    guard = Guard(tell, sessions, Site.of("https://portico.test", 443))
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url="https://portico.test") as client:
        answer = await client.get("/x", headers={"cookie": f"__Host-portico={sessions.create(ADA)}"})
    assert answer.status_code == 200
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


class Socket:
    """A websocket handshake, played by hand."""

    def __init__(self, guard: Guard, **headers: str) -> None:
        raw = [(name.encode(), value.encode()) for name, value in {"host": HOST, **headers}.items()]
        self.scope = {"type": "websocket", "path": "/ws", "query_string": b"", "headers": raw}
        self.guard, self.sent = guard, []  # type: ignore[var-annotated]
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.received.put_nowait({"type": "websocket.connect"})

    async def run(self) -> list[Any]:
        async def send(message: Any) -> None:
            self.sent.append(message)

        await self.guard(self.scope, self.received.get, send)
        return self.sent


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:7861", "https://127.0.0.1:7860", "http://localhost:7860"]
)
async def test_a_websocket_from_elsewhere_is_refused(guard: Guard, sessions: Sessions, origin: str | None) -> None:
    headers = cookie(sessions.create(ADA)) | ({"origin": origin} if origin else {})
    assert await Socket(guard, **headers).run() == [{"type": "websocket.close", "code": 1008}]
    # What a browser sends of its own accord does not replace the Origin.
    assert (await Socket(guard, **headers, **{"sec-fetch-site": "same-origin"}).run())[0]["code"] == 1008


async def test_a_websocket_without_a_session_is_refused(guard: Guard) -> None:
    sent = await Socket(guard, origin=f"http://{HOST}", **{"x-auth-user": "root"}).run()
    assert sent == [{"type": "websocket.close", "code": SIGNED_OUT}]


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (what is awaited is no event of ours)
            await asyncio.sleep(0.005)


async def test_a_revoked_session_ends_its_open_websocket(guard: Guard, sessions: Sessions) -> None:
    token = sessions.create(ADA)
    socket = Socket(guard, origin=f"http://{HOST}", **cookie(token))
    task = asyncio.create_task(socket.run())
    await until(lambda: len(socket.sent) == 2)
    session = sessions.find(token)
    assert session is not None
    await asyncio.to_thread(sessions.revoke, session.id)
    sent = await asyncio.wait_for(task, 5)
    assert sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


async def test_a_revoked_session_gets_a_refusal_where_nothing_was_answered_yet(sessions: Sessions) -> None:
    token = sessions.create(ADA)
    guard = Guard(think, sessions, SITE)
    transport = httpx.ASGITransport(guard)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=cookie(token)) as client:
        asked = asyncio.create_task(client.get("/x"))
        await until(lambda: guard._open)
        session = sessions.find(token)
        assert session is not None
        sessions.revoke(session.id)
        assert (await asyncio.wait_for(asked, 5)).status_code == 401


async def test_the_absolute_timeout_ends_an_open_websocket(database: Engine) -> None:
    sessions = Sessions(database, absolute=timedelta(seconds=1))
    guard = Guard(tell, sessions, SITE)
    socket = Socket(guard, origin=f"http://{HOST}", **cookie(sessions.create(ADA)))
    sent = await asyncio.wait_for(socket.run(), 5)
    assert sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


async def test_a_revoked_session_cuts_its_open_stream_and_no_other(guard: Guard, sessions: Sessions) -> None:
    streams = []
    for token in (sessions.create(ADA), sessions.create(ADA)):
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        raw = [(b"host", HOST.encode()), (b"cookie", f"portico-7860={token}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/stream", "query_string": b"", "headers": raw}
        task = asyncio.create_task(guard(scope, receive, send))
        await until(lambda sent=sent: len(sent) == 2)
        streams.append((token, task, sent))
    (token, cut, sent), (_, other, _) = streams
    session = sessions.find(token)
    assert session is not None
    sessions.revoke(session.id)
    await asyncio.wait_for(cut, 5)
    assert sent[-1]["more_body"], "it is left unterminated, so that its reader knows that it was cut"
    assert not other.done()
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other
    assert not guard._open


async def test_a_session_that_is_revoked_just_as_it_is_let_in_holds_nothing_open(database: Engine) -> None:
    """CHECKLIST 36: between finding the session and booking its websocket, another thread revokes it."""

    class RevokedOnTheWay(Sessions):
        def find(self, token: str) -> Any:
            if session := super().find(token):
                revoking = threading.Thread(target=self.revoke, args=(session.id,))
                revoking.start()
                revoking.join()
            return session

    sessions = RevokedOnTheWay(database)
    socket = Socket(Guard(tell, sessions, SITE), origin=f"http://{HOST}", **cookie(sessions.create(ADA)))
    sent = await asyncio.wait_for(socket.run(), 5)
    assert sent[-1] == {"type": "websocket.close", "code": SIGNED_OUT}


async def test_with_the_database_away_nobody_is_let_in_and_health_is_told(database: Engine, tmp_path: Path) -> None:
    """CHECKLIST 44: a sentence with every security header, and what needs no session answers."""
    sessions = Sessions(database)
    token = sessions.create(ADA)
    database.dispose()
    (tmp_path / "portico.db").unlink()
    (tmp_path / "portico.db").mkdir()  # no file can be opened there
    guard = Guard(tell, sessions, SITE, ["/healthz", "/static/"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=f"http://{HOST}") as client:
        refused = await client.get("/x", headers=cookie(token))
        assert refused.status_code == 503
        assert "database cannot be reached" in refused.text
        assert "default-src 'none'" in refused.headers["content-security-policy"]
        assert (await client.get("/healthz", headers=cookie(token))).status_code == 200
        assert (await client.get("/static/x.css", headers=cookie(token))).status_code == 200
    socket = Socket(guard, origin=f"http://{HOST}", **cookie(token))
    assert await socket.run() == [{"type": "websocket.close", "code": 1013}]
