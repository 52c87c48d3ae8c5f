from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from portal import compression
from portal.compression import Compression

SCRIPT = "let x = 1;" * 1000
HASHED = "/assets/index-BxI8Vgm0.js"


class Site:
    def __init__(self) -> None:
        self.served = 0

        async def script(request: Request) -> Response:
            self.served += 1
            return Response(SCRIPT, media_type="application/javascript", headers={"etag": '"1"'})

        async def small(request: Request) -> Response:
            return PlainTextResponse("ok")

        async def missing(request: Request) -> Response:
            return PlainTextResponse("no " * 1000, 404)

        async def events(request: Request) -> Response:
            async def stream() -> AsyncIterator[str]:
                yield "data: 1\n\n"
                await asyncio.Event().wait()

            return StreamingResponse(stream(), media_type="text/event-stream")

        async def page(request: Request) -> Response:
            self.served += 1
            return Response("<p>" * 1000, media_type="text/html")

        routes = [
            Route("/assets/unknown-12345678.js", page),
            Route(HASHED, script),
            Route("/page.js", script),
            Route("/small", small),
            Route("/assets/a-12345678.js", missing),
        ]
        self.app = Compression(Starlette(routes=[*routes, Route("/events", events)]))


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://portico.test") as made:
        yield made


async def test_a_hashed_file_is_compressed_once_and_kept_forever(site: Site, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        answer = await client.get(HASHED)
        assert answer.text == SCRIPT
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) < len(SCRIPT) / 10
    assert site.served == 1


async def test_another_name_is_compressed_each_time_and_may_change(site: Site, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.get("/page.js")
        assert answer.headers["content-encoding"] == "gzip"
        assert "cache-control" not in answer.headers
    assert site.served == 2


async def test_small_bodies_errors_and_old_clients_are_left_alone(client: httpx.AsyncClient) -> None:
    assert "content-encoding" not in (await client.get("/small")).headers
    missing = await client.get("/assets/a-12345678.js")
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("cache-control", "")
    plain = await client.get(HASHED, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


async def test_first_visitors_who_come_at_once_have_it_made_once(site: Site, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get(HASHED) for _ in range(30)))
    assert all(answer.text == SCRIPT for answer in answers)
    assert site.served == 1
    assert site.app._kept_bytes == int(answers[0].headers["content-length"])


@pytest.mark.parametrize("personal", [{"set-cookie": "a=1"}, {"vary": "Cookie"}, {"cache-control": "private"}])
async def test_what_is_personal_is_never_kept(personal: dict[str, str]) -> None:
    async def own(request: Request) -> Response:
        return Response(request.headers["x-name"] * 1000, media_type="text/css", headers=personal)

    app = Compression(Starlette(routes=[Route("/assets/own-12345678.css", own)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portico.test") as client:
        for name in ("ada", "bob"):
            answer = await client.get("/assets/own-12345678.css", headers={"x-name": name})
            assert answer.text.startswith(name)
            assert "immutable" not in answer.headers.get("cache-control", "")


async def test_a_page_under_a_hashed_name_is_not_kept(site: Site, client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert "cache-control" not in (await client.get("/assets/unknown-12345678.js")).headers
    assert site.served == 2


async def test_a_stream_of_events_passes_at_once(site: Site) -> None:
    sent: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    headers = [(b"accept-encoding", b"gzip"), (b"host", b"portico.test")]
    scope = {"type": "http", "method": "GET", "path": "/events", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(site.app(scope, receive, sent.put))
    async with asyncio.timeout(5):
        await sent.get()
        assert (await sent.get())["body"] == b"data: 1\n\n"
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_kept_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(gzip.compress(SCRIPT.encode(), 9, mtime=0))
    monkeypatch.setattr(compression, "KEPT_BYTES", size - 1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://portico.test") as client:
        await client.get(HASHED)
        await client.get(HASHED)
    assert site.served == 2
