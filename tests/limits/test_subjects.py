"""Each subject of the lab serves, lets one in, asks the lab's model, and is driven in a person's words."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Response, expect

from limits.drivers import Lacks
from limits.proxy import Proxy
from limits.starting import free_port, ours
from limits.subjects import SUBJECTS, Driver, Running, Subject
from limits.token_server import TokenServer
from limits.visit import Visit
from tests.support.clock import wait_until

ROOT = Path(__file__).resolve().parents[2]
STOCK = sorted((ROOT / "limits" / "stock").glob("*_chat.py"))
COUNTED = [str(number) for number in range(1, 13)]
# What a stop reaches by chance alone, when Python collects the generator that was left behind: the model may go on to the end.
DEAF = ("gradio-stock", "streamlit-stock")


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture(scope="module", params=SUBJECTS, ids=lambda subject: subject.id)
def subject(request: pytest.FixtureRequest) -> Subject:
    assert isinstance(request.param, Subject)
    return request.param


@pytest.fixture(scope="module")
def running(subject: Subject, tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with subject.start(tokens, tmp_path_factory.mktemp(subject.id), 0) as started:
        yield started


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    made = context.new_page()
    running.sign_in(made)
    yield made
    context.close()


@pytest.fixture
def driver(subject: Subject, running: Running, page: Page) -> Driver:
    page.goto(running.url)
    return subject.driver(page).ready()


def seen(driver: Driver, page: Page) -> str:
    """The last answer as a script in the page finds it."""
    return str(page.evaluate("answers => [...document.querySelectorAll(answers)].at(-1)?.innerText ?? ''", driver.ANSWER))


def test_it_asks_the_model_and_shows_what_it_says(driver: Driver, page: Page, tokens: TokenServer, subject: Subject) -> None:
    mark = f"mark-{subject.id}"
    driver.send(f"count to 12 at 50 {mark}")
    driver.wait_until_done()
    assert driver.last_answer().split() == COUNTED
    assert seen(driver, page).split() == COUNTED
    assert (tokens.ended(mark) or ("",))[0] == "finished"
    assert list(tokens.times(mark)) == list(range(1, 13))
    assert driver.messages() == [f"count to 12 at 50 {mark}"]
    assert driver.error() is None
    assert not driver.is_answering()
    driver.send("echo a second time")
    driver.wait_until_done()
    assert driver.last_answer() == "You said: a second time"


def test_a_stop_ends_the_answer(driver: Driver, tokens: TokenServer, subject: Subject) -> None:
    mark = f"mark-stop-{subject.id}"
    driver.send(f"count to 1600 at 20 {mark}")
    wait_until(lambda: len(driver.last_answer().split()) > 3, seconds=20)
    assert driver.is_answering()
    driver.stop()
    driver.wait_until_done(timeout_s=40)  # the whole answer takes 80 s
    if subject.id not in DEAF:
        wait_until(lambda: tokens.ended(mark), seconds=10)
        assert (tokens.ended(mark) or ("",))[0] == "left"
        assert driver.last_answer().startswith("1 2 3 ")  # what was said is kept


def test_a_crashed_model_is_told(driver: Driver, tokens: TokenServer, subject: Subject) -> None:
    mark = f"mark-fail-{subject.id}"
    driver.send(f"fail after 5 {mark}")
    driver.wait_until_done()
    assert driver.error()
    if subject.effort == "stock":
        with pytest.raises(Lacks, match="There is no Retry"):
            driver.retry()
        return
    driver.retry()
    wait_until(lambda: tokens.asked(mark) == 2)
    driver.wait_until_done()


def test_an_answer_is_asked_for_again(driver: Driver, tokens: TokenServer, subject: Subject) -> None:
    mark = f"mark-again-{subject.id}"
    driver.send(f"count to 12 {mark}")
    driver.wait_until_done()
    if subject.id == "streamlit-stock":
        with pytest.raises(Lacks, match="There is no Regenerate"):
            driver.regenerate()
        return
    driver.regenerate()
    wait_until(lambda: tokens.asked(mark) == 2)
    driver.wait_until_done()
    assert driver.last_answer().split() == COUNTED
    assert driver.messages() == [f"count to 12 {mark}"]


def test_it_comes_back_at_its_address(running: Running, subject: Subject, browser: Browser) -> None:
    before, address = running.pid, running.url
    running.restart()
    assert running.pid != before
    assert running.url == address
    context = browser.new_context()
    try:
        page = context.new_page()
        running.sign_in(page)
        page.goto(running.url)
        subject.driver(page).ready()
    finally:
        context.close()


def test_how_it_is_served(running: Running, page: Page, subject: Subject) -> None:
    """By a process of its own that asks no outside host, compressed alike, with a word in it that an edit would change."""
    os.kill(running.pid, 0)
    heard: list[Response] = []
    page.on("response", lambda response: heard.append(response))
    page.goto(running.url)
    subject.driver(page).ready()
    file, word = subject.edit
    assert file in subject.sources
    assert file.read_text(encoding="utf-8").count(word) == 1
    expect(page.get_by_text(word).first).to_be_visible()
    urls = [response.url for response in heard if response.url.startswith("http")]
    assert {url.split("/")[2] for url in urls} == {f"127.0.0.1:{running.target}"}
    whole = [one for one in heard if one.request.resource_type == "document" or ("index" in one.url and one.url.endswith(".js"))]
    assert whole
    assert {one.headers.get("content-encoding") for one in whole} == {"gzip"}


@pytest.mark.parametrize("subject_id", ["gradio-pushed", "streamlit-pushed"])
def test_a_proxy_may_stand_in_front(subject_id: str, tokens: TokenServer, browser: Browser, tmp_path: Path) -> None:
    """Portico's guard answers under the proxy's address alone if it is told of it."""
    subject = next(one for one in SUBJECTS if one.id == subject_id)
    with Proxy() as proxy, subject.start(tokens, tmp_path, proxy.port) as running:
        proxy.target = running.target
        assert f":{proxy.port}/" in running.url
        context = browser.new_context()
        try:
            page = context.new_page()
            running.sign_in(page)
            page.goto(running.url)
            driver = subject.driver(page).ready()
            driver.send("echo through the proxy")
            driver.wait_until_done()
            assert driver.last_answer() == "You said: through the proxy"
        finally:
            context.close()


def test_the_registry_is_in_order() -> None:
    assert [subject.id for subject in SUBJECTS] == [
        "control", "gradio-stock", "gradio-pushed", "streamlit-stock", "streamlit-pushed",
    ]  # fmt: skip


def test_what_is_renewed_has_forgotten_what_was_said(
    browser: Browser, running: Running, subject: Subject, tokens: TokenServer, tmp_path: Path
) -> None:
    visit, before = Visit(subject, running, tokens, browser, tmp_path, {}), running.url
    with visit.page() as page:
        driver = visit.open(page)
        driver.send("count to 3 at 50")
        driver.wait_until_done()
    running.renew()
    assert running.url == before
    with visit.page() as page:
        driver = visit.open(page)
        assert driver.messages() == []
        if subject.effort == "pushed":
            assert not [one for one in driver.conversations() if "count" in one]


@pytest.mark.parametrize("file", STOCK, ids=lambda file: file.stem)
def test_a_newcomer_writes_fifteen_lines(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= 15


@pytest.mark.parametrize("file", STOCK, ids=lambda file: file.stem)
def test_it_runs_without_the_lab(file: Path, tmp_path: Path) -> None:
    port = free_port()
    words = ["-m", "streamlit", "run", str(file), "--server.headless=true", f"--server.port={port}"]
    words = words if "streamlit" in file.stem else [str(file)]
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"}
    environment = ours() | quiet | {"OPENAI_API_KEY": "unused", "GRADIO_SERVER_PORT": str(port)}
    with (tmp_path / "terminal").open("wb") as terminal:
        process = subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=environment, stdout=terminal, stderr=terminal)
    try:
        wait_until(lambda: process.poll() is not None or answers(port), seconds=90, every=0.2)
        assert process.poll() is None, (tmp_path / "terminal").read_text()
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        time.sleep(0.1)
        return False
