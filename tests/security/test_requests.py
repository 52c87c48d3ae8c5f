"""What a request may be and from where it may come: CHECKLIST 39-45 (46 is tests/test_routes.py)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from auth.middleware import Guard
from auth.sessions import Account, Sessions
from auth.site import Peers, Site

HOST = "127.0.0.1:7860"
PUBLIC = "https://demo.example.com"
SITE = Site.of(PUBLIC, 7860)
ADA = Account("ada", "Ada", "member")


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was told about who asks, and sets headers that are not its to set."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    told = {"user": scope["user"].account.id if scope["user"] else None, "headers": headers, "peer": scope["peer"]}
    body = json.dumps(told | {"on_this_machine": scope["on_this_machine"], "our_cookies": scope["our_cookies"]}).encode()
    given = [
        (b"access-control-allow-origin", b"*"),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"x-frame-options", b"DENY"),
    ]
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/missing" else 200, "headers": given})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def sessions(database: Engine) -> Sessions:
    return Sessions(database)


@pytest.fixture
async def client(sessions: Sessions) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on this machine, signed in at the loopback address and at the public one."""
    async with browser(Guard(tell, sessions, SITE, ["/healthz"])) as made:
        token = sessions.create(ADA)
        made.headers["cookie"] = f"portico-7860={token}; __Host-portico={token}"
        yield made


def browser(guard: Guard, peer: str = "127.0.0.1", base: str = f"http://{HOST}") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard, client=(peer, 5)), base_url=base)


FOREIGN: list[dict[str, str]] = [
    {},
    {"origin": "null"},
    {"origin": "https://evil.example"},
    {"origin": f"http://{HOST}.evil.example"},
    {"origin": "http://127.0.0.1:7861"},
    {"origin": "http://localhost:7860"},
    {"origin": f"https://{HOST}"},
    {"origin": PUBLIC},
    {"origin": f"http://{HOST}/"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin, cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "X"])
async def test_an_unsafe_method_needs_our_own_origin(client: httpx.AsyncClient, method: str, headers: dict[str, str]) -> None:
    """CHECKLIST 39: unsafe methods need `Sec-Fetch-Site: same-origin` or the exact Origin, with a session and without."""
    assert (await client.request(method, "/x", headers=headers)).status_code == 403
    assert (await client.request(method, "/healthz", headers={**headers, "cookie": ""})).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"}], ids=str)
async def test_an_unsafe_method_from_our_own_page_goes_in(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """CHECKLIST 39: what our own pages send is let in, so the refusals are not just of everything."""
    assert (await client.post("/x", headers=headers)).status_code == 200


async def test_each_of_our_addresses_takes_its_own_origin_alone(client: httpx.AsyncClient) -> None:
    """CHECKLIST 39: the public address and this machine's are not each other's origin."""
    public = {"host": "demo.example.com"}
    assert (await client.post("/x", headers={**public, "origin": PUBLIC})).status_code == 200
    assert (await client.post("/x", headers={**public, "origin": f"http://{HOST}"})).status_code == 403
    assert (await client.post("/x", headers={**public, "origin": "http://demo.example.com"})).status_code == 403


@pytest.mark.parametrize("path", ["/gradio/gradio_api/upload", "/streamlit/_stcore/upload_file/x/y", "/x"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:7861"])
async def test_a_cross_origin_upload_is_refused(client: httpx.AsyncClient, path: str, origin: str) -> None:
    """CHECKLIST 40: a form of another site cannot post a file, though browsers send it without asking first."""
    answer = await client.post(path, headers={"origin": origin}, files={"files": ("a.txt", b"hello")})
    assert answer.status_code == 403


async def handshake(guard: Guard, headers: Mapping[str, str], host: str = HOST) -> int:
    """The close code of a websocket, or 0 if the app got it."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in {"host": host, **headers}.items()]
    await guard(
        {"type": "websocket", "path": "/ws", "query_string": b"", "headers": raw, "client": ("127.0.0.1", 5)}, receive, send
    )
    return int(sent[0].get("code", 0))


async def accept(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})


SIBLINGS = ["http://127.0.0.1", "http://localhost:7860", "http://[::1]:7860", "http://a.127.0.0.1:7860", "https://127.0.0.1:7860"]


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "http://127.0.0.1:7861", *SIBLINGS, PUBLIC])
async def test_a_websocket_needs_the_exact_origin(sessions: Sessions, origin: str) -> None:
    """CHECKLIST 41: foreign, null, absent, other port, sibling host; nor does another header stand in for it."""
    guard, cookie = Guard(accept, sessions, SITE), f"portico-7860={sessions.create(ADA)}"
    given = {"cookie": cookie, "sec-fetch-site": "same-origin"} | ({"origin": origin} if origin else {})
    assert await handshake(guard, given) == 1008
    assert await handshake(guard, {"cookie": cookie, "origin": f"http://{HOST}"}) == 0


HOSTS = [
    "evil.example",
    "127.0.0.1",
    "127.0.0.1:80",
    "localhost:7860.evil.example",
    "demo.example.com:443",
    "demo.example.com.",
    "",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_only_our_own_hosts_are_answered(client: httpx.AsyncClient, host: str) -> None:
    """CHECKLIST 42: a Host that is not on the list gets no page, so that no name which points here is an origin of ours."""
    assert (await client.get("/x", headers={"host": host})).status_code == 400
    assert (await client.get("/healthz", headers={"host": host, "x-forwarded-host": HOST})).status_code == 400


async def test_two_hosts_are_none(sessions: Sessions) -> None:
    """CHECKLIST 42: a request that names two hosts is not answered."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": headers, "client": None}
    await Guard(tell, sessions, SITE, ["/healthz"])(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"http://{HOST}"])
async def test_no_other_origin_is_ever_allowed(client: httpx.AsyncClient, origin: str) -> None:
    """CHECKLIST 43: no Access-Control-Allow-* leaves the guard, whatever the app inside says, preflight included."""
    ask = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for answer in (
        await client.get("/x", headers=ask),
        await client.options("/x", headers=ask),
        await client.post("/x", headers=ask),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/x", "/missing", "/healthz"])
@pytest.mark.parametrize("base", [f"http://{HOST}", PUBLIC])
@pytest.mark.parametrize("signed_in", [True, False])
async def test_security_headers_stand_on_every_answer(sessions: Sessions, path: str, base: str, signed_in: bool) -> None:
    """CHECKLIST 44: CSP with frame-ancestors, nosniff, Referrer-Policy; HSTS under https; on refusals and errors too."""
    name = SITE.cookie(httpx.URL(base).netloc.decode()).name
    headers = {"cookie": f"{name}={sessions.create(ADA)}"} if signed_in else {}
    async with browser(Guard(tell, sessions, SITE, ["/healthz"]), base=base) as client:
        answer = await client.get(path, headers=headers)
        assert answer.status_code == (401 if not signed_in and path != "/healthz" else 404 if path == "/missing" else 200)
        refused = await client.post(path, headers={**headers, "origin": "https://evil.example"})
        unknown = await client.get(path, headers={"host": "evil.example"})
    for one in (answer, refused, unknown):
        policy = one.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "form-action 'self'" in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "same-origin"
    assert ("strict-transport-security" in answer.headers) == base.startswith("https")


SPOOFED = [
    "X-Auth-User", "X_Auth_User", "x-auth_session", "X-Auth-Session", "X-Auth-Role", "X-Auth-Quota", "X-Forwarded-User",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Real-Ip", "Remote-User",
    "X-Remote-User", "X-User", "X-Email", "X-Original-Url", "True-Client-Ip", "Cf-Connecting-Ip", "any_thing",
]  # fmt: skip


@pytest.mark.parametrize("trusted", [[], ["127.0.0.0/8"]], ids=["nobody trusted", "the proxy trusted"])
@pytest.mark.parametrize("name", SPOOFED)
async def test_a_header_of_identity_never_reaches_the_app(sessions: Sessions, name: str, trusted: list[str]) -> None:
    """CHECKLIST 45: forwarded and identity headers are stripped, underscore spellings too; a trusted proxy's too."""
    guard = Guard(tell, sessions, SITE, peers=Peers(trusted))
    async with browser(guard) as client:
        assert (await client.get("/x", headers={name: "203.0.113.9"})).status_code == 401
        seen = (await client.get("/x", headers={name: "203.0.113.9", "cookie": f"portico-7860={sessions.create(ADA)}"})).json()
    assert seen["user"] == "ada"
    assert name.lower() not in {header for header, value in seen["headers"] if value == "203.0.113.9"}


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.text(alphabet="xXauthAUTH-_ uUsSeErRfFoOwd", min_size=1, max_size=16).map(str.strip).filter(bool),
                       st.sampled_from(["root", "owner", "admin", "127.0.0.1", "for=127.0.0.1"])), max_size=8)
)  # fmt: skip
def test_no_set_of_headers_changes_who_one_is(database: Engine, headers: list[tuple[str, str]]) -> None:
    """CHECKLIST 45: random header sets; who asks and from where stays what the cookie and the socket say."""
    import asyncio

    sessions = Sessions(database)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers if name.lower() not in ("host", "cookie")]
    raw += [(b"host", HOST.encode()), (b"cookie", f"portico-7860={sessions.create(ADA)}".encode())]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw, "client": ("203.0.113.7", 5)}
    asyncio.run(Guard(tell, sessions, SITE)(scope, None, send))  # type: ignore[arg-type]
    seen = json.loads(sent[-1]["body"])
    assert (seen["user"], seen["peer"], seen["on_this_machine"]) == ("ada", "203.0.113.7", False)
    assert [value for name, value in seen["headers"] if name.startswith("x-auth")][:3] == ["ada", "Ada", "member"]


PROXIED: list[tuple[str, str, list[str], str, bool]] = [
    # the socket's peer, X-Forwarded-For, who is trusted, whose address counts, whether it is this machine
    ("127.0.0.1", "", [], "127.0.0.1", True),
    ("127.0.0.1", "203.0.113.9", [], "127.0.0.1", False),  # a proxy that we do not know of: anyone may be behind it
    ("127.0.0.1", "203.0.113.9", ["127.0.0.1"], "203.0.113.9", False),
    ("127.0.0.1", "127.0.0.1", ["127.0.0.1"], "127.0.0.1", True),
    ("127.0.0.1", "127.0.0.1, 203.0.113.9", ["127.0.0.1"], "203.0.113.9", False),  # the first hop is the client's own claim
    ("10.0.0.2", "198.51.100.1, 203.0.113.9, 10.0.0.1", ["10.0.0.0/8"], "203.0.113.9", False),
    ("10.0.0.2", "127.0.0.1", ["10.0.0.0/8"], "127.0.0.1", False),  # its machine, not ours
    ("203.0.113.5", "127.0.0.1", ["10.0.0.0/8"], "203.0.113.5", False),
    ("10.0.0.2", "unknown", ["10.0.0.0/8"], "", False),
    ("::1", "", [], "::1", True),
    ("::ffff:127.0.0.1", "", [], "127.0.0.1", True),  # as a socket that takes IPv4 and IPv6 names it
    ("::ffff:127.0.0.1", "203.0.113.9", ["127.0.0.1"], "203.0.113.9", False),
]


@pytest.mark.parametrize(("peer", "forwarded", "trusted", "address", "here"), PROXIED)
async def test_only_a_trusted_proxy_says_for_whom_it_asks(
    sessions: Sessions, peer: str, forwarded: str, trusted: list[str], address: str, here: bool
) -> None:
    """CHECKLIST 45: from a peer that is not trusted, no header says where a request comes from."""
    headers = {"cookie": f"portico-7860={sessions.create(ADA)}"} | ({"x-forwarded-for": forwarded} if forwarded else {})
    async with browser(Guard(tell, sessions, SITE, peers=Peers(trusted)), peer=peer) as client:
        seen = (await client.get("/x", headers=headers)).json()
    assert (seen["peer"], seen["on_this_machine"]) == (address, here)


async def test_none_of_our_cookies_reaches_a_frontend(sessions: Sessions) -> None:
    """CHECKLIST 45: session, sign-in and browser tokens stay with the guard; a frontend's own cookies pass."""
    token = sessions.create(ADA)
    cookies = f"theme=dark; portico-7860={token}; portico-7860-oidc=one; portico-7860-browser=two"
    async with browser(Guard(tell, sessions, SITE)) as client:
        seen = (await client.get("/x", headers={"cookie": cookies, "authorization": "Bearer three"})).json()
    assert dict(seen["headers"])["cookie"] == "theme=dark"
    assert "authorization" not in dict(seen["headers"])
    assert seen["our_cookies"] == {"": token, "oidc": "one", "browser": "two"}
