"""Between users, and what a client may send: CHECKLIST 53-56, over the assembled app in a process of its own.

What the frontends themselves hold is tested beside them: tests/ui_gradio/test_ownership.py (streams and events) and
tests/browser/test_first_light.py (two people, two browsers).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from sqlalchemy import Engine

from core.engine import LocalEngine
from core.errors import NotFound
from core.service import InferenceService
from core.store import Run, Store
from core.tasks import chat_task
from core.types import SamplingParams, User
from tests.conftest import ADA, BO
from tests.support.runner import ScriptedRunner
from tests.support.serve import Served

SECRET = "my-secret-word"
SERVER_FILE = Path("/etc/passwd")


@pytest.fixture
def service(database: Engine) -> Iterator[InferenceService]:
    made = InferenceService(Store(database), LocalEngine(ScriptedRunner(["fine"])), [chat_task(SamplingParams(), 4096)])
    yield made
    made.close()


def reach(service: InferenceService, name: str, user: User, run: Run) -> Any:
    """Call the service's method `name` as `user`, with another's ids wherever it takes any."""
    known: dict[str, Any] = {
        "user": user, "run_id": run.id, "conversation_id": run.conversation_id, "task": "chat", "values": {"message": "x"},
    }  # fmt: skip
    parameters = inspect.signature(getattr(service, name)).parameters.values()
    needed = {one.name for one in parameters if one.default is inspect.Parameter.empty or one.name in known}
    assert needed <= known.keys(), f"{name} takes {needed - known.keys()}: say here what another user would try"
    return getattr(service, name)(**{one: known[one] for one in needed})


OWN_ONLY = {"conversations", "last_conversation"}  # these take no id: they list one's own
IDS = {"run_id", "conversation_id"}  # what another user could name; a call that takes none has nothing to cross by
CALLS = [
    name
    for name, method in inspect.getmembers(InferenceService, inspect.isfunction)
    if not name.startswith("_") and (name in OWN_ONLY or IDS & inspect.signature(method).parameters.keys())
]


@pytest.mark.parametrize("name", CALLS)
def test_no_call_of_the_service_reaches_another_users(service: InferenceService, name: str) -> None:
    """CHECKLIST 53: a matrix of two users over every call; one that is added to the service is asked here too."""
    run = service.start(ADA, "chat", {"message": SECRET})
    assert list(service.watch(ADA, run.id))
    if name in OWN_ONLY:
        assert not reach(service, name, BO, run)
        assert reach(service, name, ADA, run)
    else:
        with pytest.raises(NotFound):
            reach(service, name, BO, run)
        assert len(service.conversation(ADA, run.conversation_id).runs) == 1
    assert SECRET not in json.dumps(Store(service._store._engine).export(BO.id))


def test_an_export_holds_ones_own_and_forgetting_takes_no_other(service: InferenceService) -> None:
    """CHECKLIST 53: what is exported and what is deleted is one user's alone."""
    for user in (ADA, BO):
        run = service.start(user, "chat", {"message": f"I am {user.id}"})
        assert list(service.watch(user, run.id))
    store = Store(service._store._engine)
    assert "I am ada" in json.dumps(store.export(ADA.id))
    assert "I am bo" not in json.dumps(store.export(ADA.id))
    store.forget(ADA.id)
    assert store.export(ADA.id) == {"conversations": []}
    assert "I am bo" in json.dumps(store.export(BO.id))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data"), pace=0.0) as running:
        yield running.wait_ready()


@pytest.fixture
async def ada(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in browser's requests."""
    headers = {"origin": served.url, "cookie": "; ".join(f"{name}={value}" for name, value in served.session("ada").items())}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=60) as client:
        yield client


def alive(served: Served) -> bool:
    return httpx.get(f"{served.url}/healthz").json() == {"status": "ok"} and served.process.poll() is None


FILE_ROUTES = [
    "/gradio/gradio_api/file={}", "/gradio/gradio_api/file/{}", "/gradio/file={}",
    "/gradio/gradio_api/stream/{}/1/2/playlist-file",
    "/gradio/static/{}", "/gradio/assets/{}", "/gradio/gradio_api/custom_component/x/client/component/{}", "/gradio/svelte/{}",
    "/gradio/gradio_api/deep_link?path={}", "/gradio/gradio_api/component_server?path={}", "/gradio/gradio_api/proxy={}",
    "/streamlit/media/{}", "/streamlit/static/{}", "/streamlit/component/x/{}", "/streamlit/app/static/{}", "/streamlit/{}",
    "/streamlit/_stcore/bidi-components/x/{}", "/static/{}",
]  # fmt: skip
SPELLINGS = ["/etc/passwd", "etc/passwd", "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc/passwd",
             "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%5c..%5c..%5cetc%5cpasswd", "file:///etc/passwd"]  # fmt: skip


@pytest.mark.parametrize("route", FILE_ROUTES)
async def test_no_route_gives_a_file_of_the_server(ada: httpx.AsyncClient, served: Served, route: str) -> None:
    """CHECKLIST 54: a server path in an address is refused, in every spelling, signed in or not."""
    secret = SERVER_FILE.read_text().splitlines()[0]  # noqa: ASYNC240
    for spelling in SPELLINGS:
        address = httpx.URL(served.url, raw_path=route.format(spelling).encode())
        answer = await ada.get(address)
        assert secret not in answer.text, (route, spelling)
        assert answer.status_code >= 400 or "text/html" in answer.headers["content-type"], (route, spelling)


async def test_no_component_of_gradio_reads_a_file_of_the_server(ada: httpx.AsyncClient) -> None:
    """CHECKLIST 54: a client that names a server path as the value of any component, of any event, gets nothing of it."""
    page = (await ada.get("/gradio/")).text
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", page, re.S)
    assert found
    named = {
        "path": str(SERVER_FILE),
        "meta": {"_type": "gradio.FileData"},
        "text": str(SERVER_FILE),
        "files": [str(SERVER_FILE)],
    }
    asked = 0
    for event in json.loads(found[1])["dependencies"]:
        for place in range(len(event["inputs"])):
            data: list[Any] = [None] * len(event["inputs"])
            data[place] = named
            session = {"session_hash": f"h{event['id']}x{place}", "fn_index": event["id"], "trigger_id": None, "event_data": None}
            joined = await ada.post("/gradio/gradio_api/queue/join", json={"data": data, **session})
            assert SERVER_FILE.read_text().splitlines()[0] not in joined.text  # noqa: ASYNC240
            asked += 1
            if joined.status_code == 200 and not event["types"].get("generator"):
                told = await _until_closed(ada, f"/gradio/gradio_api/queue/data?session_hash={session['session_hash']}")
                assert SERVER_FILE.read_text().splitlines()[0] not in told  # noqa: ASYNC240
    assert asked > 10


async def _until_closed(client: httpx.AsyncClient, path: str) -> str:
    """What a stream of Gradio's says until its event has ended."""
    text = ""
    async with asyncio.timeout(20), client.stream("GET", path) as answer:
        async for line in answer.aiter_lines():
            text += line
            if "process_completed" in line or "close_stream" in line:
                break
    return text


async def test_nothing_can_be_uploaded(ada: httpx.AsyncClient, served: Served) -> None:
    """CHECKLIST 55: no task takes a file yet, so the bound is none at all: both frontends' upload routes are closed."""
    for method, path in [
        ("POST", "/gradio/gradio_api/upload"), ("POST", "/gradio/upload"),
        ("GET", "/gradio/gradio_api/upload_progress?upload_id=x"),
        ("PUT", "/streamlit/_stcore/upload_file/x/y"), ("POST", "/streamlit/_stcore/upload_file"),
        ("DELETE", "/streamlit/_stcore/upload_file/x/y"),
    ]:  # fmt: skip
        answer = await ada.request(method, path, files={"files": ("a.txt", b"x" * 1000)} if method != "GET" else None)
        assert answer.status_code in (404, 405), path
    assert not [one for one in served.data.rglob("*") if one.name == "a.txt"]


LARGE = b"x" * 10_000_000
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/auth/link", {"content": LARGE}),
    ("/auth/link", {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    ("/auth/link", {"content": b"\xff\xfe%%%=&&", "headers": {"content-type": "application/x-www-form-urlencoded"}}),
    ("/auth/join", {"content": LARGE}),
    ("/auth/account/tokens", {"content": LARGE}),
    ("/gradio/gradio_api/queue/join", {"content": LARGE}),
    ("/gradio/gradio_api/queue/join", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("/gradio/gradio_api/queue/join", {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    ("/gradio/gradio_api/queue/join", {"json": {"data": ["m" * 10_000_000], "fn_index": 0, "session_hash": "h"}}),
    (
        "/gradio/gradio_api/queue/join",
        {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ),
    ("/v1/chat/completions", {"content": LARGE}),
]


@pytest.mark.parametrize(("path", "body"), BODIES, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_bad_or_huge_body_is_a_clear_refusal_and_the_process_lives(
    ada: httpx.AsyncClient, served: Served, path: str, body: dict[str, Any]
) -> None:
    """CHECKLIST 56: bodies over the limit, broken multipart, bad JSON, a 10 MB prompt."""
    answer = await ada.post(path, **body)
    assert 400 <= answer.status_code < 500
    assert answer.text
    assert "Traceback" not in answer.text
    assert alive(served)


async def _all_of(socket: Any) -> None:
    while True:
        await socket.recv()


async def test_a_huge_websocket_message_ends_its_connection_alone(ada: httpx.AsyncClient, served: Served) -> None:
    """CHECKLIST 56: 10 MB over Streamlit's websocket."""
    address = served.url.replace("http://", "ws://") + "/streamlit/_stcore/stream"
    headers = {"cookie": ada.headers["cookie"]}
    opening = websockets.connect(address, origin=served.url, additional_headers=headers)  # type: ignore[arg-type]
    async with asyncio.timeout(30), opening as socket:
        await socket.send(LARGE)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _all_of(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009  # message too big, RFC 6455, 7.4.1
    assert alive(served)
    assert (await ada.get("/streamlit/")).status_code == 200
