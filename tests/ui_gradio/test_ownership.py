"""A browser reaches what the page uses and what its own session began, and nothing else."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest

from core.frontend import Mounted
from core.service import InferenceService
from tests.ui_gradio.conftest import Site, served
from ui_gradio.ownership import MAX_BODY, Owners, Ownership, Refused

JOIN = "/gradio_api/queue/join"


def before(app: Any) -> Site:
    """`app` in Gradio's place."""
    return Site(Mounted(Ownership(app), nullcontext()))


def nothing_behind() -> Site:
    """What fails if anything comes through."""

    async def app(*message: Any) -> None:
        raise AssertionError("this must not reach Gradio")

    return before(app)


async def join(site: Site, user: str, session_hash: str, fn_index: int = 0, **more: Any) -> Any:
    body = {"data": ["new"], "fn_index": fn_index, "session_hash": session_hash, "trigger_id": None, "event_data": None} | more
    async with site.browser(user, f"s-{user}") as browser:
        return await browser.post(JOIN, json=body)


async def test_a_session_hash_belongs_to_who_used_it_first(service: InferenceService) -> None:
    """CHECKLIST 53: one person's stream is no other's."""
    async with served(service) as site:
        assert (await join(site, "ada", "hash-a")).status_code == 200
        refused = await join(site, "bo", "hash-a")
        assert refused.status_code == 403
        assert "event" not in refused.text
        async with site.browser("bo", "s-bo") as browser:
            assert (await browser.get("/gradio_api/queue/data", params={"session_hash": "hash-a"})).status_code == 403
            assert (await browser.get("/gradio_api/heartbeat/hash-a")).status_code == 403


async def test_an_event_is_cancelled_by_its_own_session_alone(service: InferenceService) -> None:
    """CHECKLIST 53: nor can they stop it."""
    async with served(service) as site:
        event = (await join(site, "ada", "hash-a")).json()["event_id"]
        for user, named in [("bo", "hash-b"), ("bo", "hash-a"), ("ada", "hash-a")]:
            async with site.browser(user, f"s-{user}") as browser:
                body = {"event_id": event, "session_hash": named, "fn_index": 0}
                status = 200 if user == "ada" else 403
                assert (await browser.post("/gradio_api/cancel", json=body)).status_code == status
                assert (await browser.post("/gradio_api/reset", json={"event_id": event})).status_code == status


async def test_an_event_that_nobody_began_is_nobodys() -> None:
    async with nothing_behind().browser() as browser:
        body = {"event_id": "0" * 32, "session_hash": "hash-a", "fn_index": 0}
        assert (await browser.post("/gradio_api/cancel", json=body)).status_code == 403


async def test_without_the_guards_header_nothing_answers() -> None:
    async with nothing_behind().browser(session="") as browser:
        for path in ("/", "/theme.css", "/gradio_api/app_id"):
            assert (await browser.get(path)).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/config"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/gradio_api/file=/etc/hostname"),
        ("GET", "/file=/etc/hostname"),
        ("GET", "/gradio_api/file/etc/hostname"),
        ("GET", "/gradio_api/proxy=https://example.org/"),
        ("GET", "/static/../../../etc/hostname"),
        ("GET", "/assets/%2e%2e/%2e%2e/routes.py"),
        ("GET", "/svelte/index.js"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/queue/status"),
        ("GET", "/gradio_api/stream/a/b/0/playlist.m3u8"),
        ("GET", "/logout"),
        ("GET", "/gradio_api/mcp/sse"),
        ("POST", "/login"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/call/load"),
        ("POST", "/gradio_api/api/load"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/queue/join/"),
        ("DELETE", "/"),
    ],
)
async def test_what_the_page_does_not_use_never_reaches_gradio(method: str, path: str) -> None:
    async with nothing_behind().browser() as browser:
        answer = await browser.request(method, path, json={} if method == "POST" else None)
        assert answer.status_code == 404


@pytest.mark.parametrize("body", ["[]", "nonsense", '"x"', "{}", '{"session_hash": 5}', '{"session_hash": "../x"}'])
async def test_a_body_without_a_name_is_refused(body: str) -> None:
    async with nothing_behind().browser() as browser:
        assert (await browser.post(JOIN, content=body, headers={"content-type": "application/json"})).status_code == 400


async def test_a_body_that_names_two_sessions_is_read_once() -> None:
    """What is checked is what Gradio gets, also where parsers disagree about a name that is given twice."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.append(json.loads(message["body"]))
        assert dict(scope["headers"])[b"content-length"] == str(len(message["body"])).encode()
        assert message["body"].count(b"session_hash") == 1

    async with before(app).browser() as browser:
        with pytest.raises(AssertionError):  # the app sends no answer
            await browser.post(JOIN, content='{"session_hash": "one", "session_hash": "two"}')
    assert seen == [{"session_hash": "two"}]


async def test_a_body_past_the_limit_gets_a_sentence() -> None:
    answer = await join(nothing_behind(), "ada", "hash-a", data=["x" * MAX_BODY])
    assert answer.status_code == 413
    assert "Shorten it" in answer.json()["detail"]


async def test_the_end_of_a_connection_reaches_the_stream() -> None:
    """After the body comes what the server says, unwrapped, or Gradio would never stop streaming to who has left."""
    events = [{"type": "http.request", "body": b'{"session_hash": "a"}'}, {"type": "http.disconnect"}]
    seen: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await receive(), await receive()])

    scope = {"type": "http", "method": "POST", "path": JOIN, "headers": [(b"x-auth-session", b"s")], "query_string": b""}
    await Ownership(app)(scope, receive, seen.append)  # type: ignore[arg-type]
    assert [message["type"] for message in seen] == ["http.request", "http.disconnect"]


async def test_a_stream_gets_the_servers_own_receive() -> None:
    given: list[Any] = []

    async def receive() -> Any: ...

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.append(receive)

    query = b"session_hash=a"
    scope = {"type": "http", "method": "GET", "path": "/gradio_api/queue/data", "query_string": query}
    await Ownership(app)(scope | {"headers": [(b"x-auth-session", b"s")]}, receive, given.append)  # type: ignore[arg-type]
    assert given == [receive]


async def test_a_stream_that_names_two_sessions_is_refused() -> None:
    async with nothing_behind().browser() as browser:
        assert (await browser.get("/gradio_api/queue/data?session_hash=a&session_hash=b")).status_code == 400


async def test_websockets_are_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Ownership(None)({"type": "websocket", "headers": [], "path": "/"}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 4403}]


def test_memory_is_bounded_and_what_is_in_use_stays() -> None:
    owners = Owners(limit=2)
    for name in ("a", "b", "a", "c"):
        owners.claim(name, "s1")
    owners.check("a", "s1")
    with pytest.raises(Refused):
        owners.check("b", "s1")
    with pytest.raises(Refused):
        owners.claim("a", "s2")
