from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from auth.sessions import Account
from core.progress import Progress
from portal.pages import Tab, failed, not_allowed, not_found, portal_routes, render, waiting_page

TABS = [Tab("gradio", "Gradio"), Tab("streamlit", "Streamlit")]
MODELS = [{"name": "small", "state": "loading", "done": 3, "total": 9, "unit": "", "alone": "its cache cannot be shared."}]
HTML = {"accept": "text/html"}
SIGNED_IN = {**HTML, "x-test-user": "Ada"}


@pytest.fixture
def progress() -> Progress:
    return Progress({"weights": "Load the model", "gradio": "Start Gradio"})


@pytest.fixture
async def client(progress: Progress) -> AsyncIterator[httpx.AsyncClient]:
    def account_of(request: Request) -> Account | None:
        name = request.headers.get("x-test-user", "")
        return Account(name, name, "member") if name else None

    app = Starlette(
        routes=portal_routes(TABS, progress, lambda: "Model <b>", account_of, models=lambda: MODELS),
        exception_handlers={404: not_found, 405: not_allowed},
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portico.test") as made:
        yield made


async def test_home_shows_the_chosen_frontend_and_keeps_the_conversation(client: httpx.AsyncClient) -> None:
    page = (await client.get("/?ui=streamlit&c=abc", headers=SIGNED_IN)).text
    assert 'src="/streamlit/?c=abc"' in page
    assert 'href="/?ui=gradio&amp;c=abc"' in page
    assert re.search(r'data-ui="streamlit" aria-current="page"', page)
    assert 'src="/gradio/"' in (await client.get("/", headers=SIGNED_IN)).text


async def test_side_by_side_is_offered_where_there_are_two_frontends(client: httpx.AsyncClient) -> None:
    assert 'href="/compare?c=abc"' in (await client.get("/?c=abc", headers=SIGNED_IN)).text
    assert 'href="/compare"' in (await client.get("/", headers=SIGNED_IN)).text
    routes = portal_routes(TABS[:1], Progress({}), lambda: "", lambda request: Account("ada", "Ada", "member"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://x.test") as alone:
        assert "/compare" not in (await alone.get("/")).text


async def test_what_is_shown_is_escaped(client: httpx.AsyncClient) -> None:
    page = (await client.get("/", params={"c": '"><script>alert(1)</script>'}, headers=SIGNED_IN)).text
    assert "<script>alert(1)" not in page
    assert "Model &lt;b&gt;" in page
    unknown = await client.get("/", params={"ui": "<script>alert(1)</script>"}, headers=HTML)
    assert unknown.status_code == 404
    assert "<script>alert(1)" not in unknown.text


async def test_an_unknown_page_leads_home(client: httpx.AsyncClient) -> None:
    page = await client.get("/nothing", headers=HTML)
    assert page.status_code == 404
    assert 'href="/"' in page.text
    assert (await client.get("/nothing")).text == "There is no such page."


async def test_an_address_that_only_a_button_leads_to_leads_home(client: httpx.AsyncClient) -> None:
    page = await client.post("/", headers=HTML)
    assert page.status_code == 405
    assert 'href="/"' in page.text


async def test_ready_tells_strangers_yes_or_no_and_users_how_far(client: httpx.AsyncClient, progress: Progress) -> None:
    progress.report("weights", 3, 10)
    stranger = await client.get("/readyz")
    assert (stranger.status_code, stranger.json()) == (503, {"ready": False})
    user = (await client.get("/readyz", headers={"x-test-user": "Ada"})).json()
    assert user["steps"][0] == {
        "name": "weights", "title": "Load the model", "state": "running", "done": 3, "total": 10, "unit": "",
    }  # fmt: skip
    assert user["models"] == MODELS, "which says why a model's requests run one at a time"
    for name in progress.steps:
        progress.finish(name)
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


def test_the_waiting_page_names_every_step_and_says_when_to_come_back(progress: Progress) -> None:
    page = waiting_page(progress, "Gradio")
    assert page.status_code == 503
    assert page.headers["retry-after"] == "1"
    body = bytes(page.body).decode()
    assert "Load the model" in body
    assert "Start Gradio" in body


@pytest.mark.parametrize("template", ["sign_in.html", "link.html", "error.html"])
def test_no_page_of_ours_names_another_host(template: str) -> None:
    page = render(template, status=404, providers=[], again=False, printed=False, here=True, next="/", too_late=False)
    assert not re.search(r"""(?:src|href|action|url\()=?["'(]?(?:https?:)?//""", page)
    assert '<html lang="en">' in page
    assert "<h1>" in page


async def test_static_files_are_kept_for_an_hour(client: httpx.AsyncClient) -> None:
    font = await client.get("/static/inter.woff2")
    assert font.headers["cache-control"] == "public, max-age=3600"
    assert (await client.get("/static/")).status_code == 404


async def test_what_nobody_expected_is_a_sentence_with_an_id(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> None:
        raise RuntimeError("a secret of the server")

    app = Starlette(routes=[Route("/broken", broken)], exception_handlers={Exception: failed})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://portico.test") as client:
        page = await client.get("/broken", headers=HTML)
        plain = await client.get("/broken")
    assert (page.status_code, plain.status_code) == (500, 500)
    assert "<h1>" in page.text
    found = re.search(r"error (\w{8})", plain.text)
    assert found
    assert found[1] in caplog.text
    assert "secret of the server" not in page.text + plain.text
