"""What people see who wait for others, and who find the queue full, in a real Chromium, with each frontend."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from core.settings import FRONTENDS
from tests.browser.conftest import driver
from tests.support.queue_house import WAITING, QueueHouse

# In each page from the start: what the live region said, in order.
LISTEN = """window.said = []; new MutationObserver(() => {
  const text = document.querySelector(".portico-status")?.textContent;
  if (text && text !== window.said.at(-1)) window.said.push(text);
}).observe(document, { childList: true, subtree: true, characterData: true });"""

ENDLESS = "count to 4000"  # until it is stopped
Open = Callable[[str], Page]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHouse]:
    with QueueHouse(tmp_path_factory.mktemp("queue")) as running:
        yield running


@pytest.fixture
def open_as(house: QueueHouse, browser: Browser) -> Iterator[Open]:
    """`open_as("ada")` is a page of a browser of hers. Whoever asked without a page is stopped in the end."""
    contexts = []

    def make(who: str) -> Page:
        context = browser.new_context()
        context.add_cookies([{"name": "who", "value": who, "url": house.url}])
        context.add_init_script(LISTEN)
        contexts.append(context)
        return context.new_page()

    yield make
    house.stop()
    for context in contexts:
        context.close()


def poll(page: Page, condition: Callable[[], object], seconds: float = 30) -> None:
    """With the browser's own clock running; a page may draw anew meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(PlaywrightError):
            if condition():
                return
        assert time.monotonic() < deadline, "waited in vain"
        page.wait_for_timeout(20)


def ahead(place: str) -> int:
    """How many are ahead, from the words."""
    return 0 if place == "You are next" else int(place.removesuffix(" ahead of you"))


def said(page: Page) -> list[str]:
    return list(page.evaluate("window.said"))


def test_the_third_sees_its_place_move_and_then_its_answer(house: QueueHouse, open_as: Open, frontend: str) -> None:
    page = open_as(f"cy-{frontend}")
    chat = driver(frontend).open(page, house.url, "new")
    house.ask("ada", ENDLESS)
    house.ask("bo", ENDLESS)
    chat.send("hello from the third")
    poll(page, lambda: chat.place())
    places = [chat.place().partition(",")[0]]
    house.stop("ada")
    poll(page, lambda: chat.place() and not chat.place().startswith(places[0]))
    places.append(chat.place().partition(",")[0])
    assert ahead(places[1]) < ahead(places[0])
    assert ", about " in chat.place(), "one has ended by now, so there is an estimate"
    house.stop("bo")
    poll(page, lambda: chat.last_answer())
    chat.wait_until_done()
    assert chat.place() == ""
    assert chat.last_answer() == "You said: hello from the third"
    poll(page, lambda: said(page)[-1] == "Answer complete")
    told = said(page)
    assert [place for text in told if (place := text.partition(",")[0]) in places] == places, "each is said once"
    assert set(told) - {"Answering", "Answer complete"} == {text for text in told if text.partition(",")[0] in places}


def test_who_comes_back_sees_the_place_as_it_is_now(house: QueueHouse, open_as: Open, frontend: str) -> None:
    page = open_as(f"di-{frontend}")
    chat = driver(frontend).open(page, house.url, "new")
    house.ask("ada", ENDLESS)
    house.ask("bo", ENDLESS)
    chat.send("hello")
    poll(page, lambda: chat.place())
    before = chat.place().partition(",")[0]
    house.stop("ada")
    poll(page, lambda: chat.place() and not chat.place().startswith(before))
    now = chat.place().partition(",")[0]
    assert ahead(now) < ahead(before)
    other = page.context.new_page()
    for tab, name in ((page, frontend), (other, next(one for one in FRONTENDS if one != frontend))):
        back = driver(name).open(tab, house.url)
        places: set[str] = set()
        poll(tab, lambda shown=back, seen=places: seen.add(shown.place()) or seen - {""})  # type: ignore[misc]
        assert {place.partition(",")[0] for place in places - {""}} == {now}
        assert not any(text.startswith(before) for text in said(tab)), "where it was is not said again"


def test_a_run_that_waits_can_be_stopped(house: QueueHouse, open_as: Open, frontend: str) -> None:
    page = open_as(f"ed-{frontend}")
    chat = driver(frontend).open(page, house.url, "new")
    house.ask("ada", ENDLESS)
    chat.send("never mind")
    poll(page, lambda: chat.place())
    chat.stop()
    chat.wait_until_done(timeout_s=10)  # long before its turn would have come
    assert chat.place() == ""
    assert "Stopped" in chat.stats()
    poll(page, lambda: said(page)[-1] == "Stopped")
    assert chat.messages() == ["never mind"]


def test_over_the_bound_it_is_busy_and_the_question_is_kept(house: QueueHouse, open_as: Open, frontend: str) -> None:
    page = open_as(f"flo-{frontend}")
    chat: Any = driver(frontend).open(page, house.url, "new")
    for name in ("ada", "bo", "cy"):  # one runs and two wait
        house.ask(name, ENDLESS)
    chat.send("is anybody there")
    poll(page, lambda: chat.error())
    assert f"The model is busy: {WAITING} requests are waiting already. Try again in " in chat.error()
    assert [text.strip() for text in chat.messages()] == ["is anybody there"]
    assert not chat.is_answering()
    poll(page, lambda: page.get_by_role("alert").count() or said(page)[-1:] == ["The answer failed"])
    chat.retry()
    poll(page, lambda: "The model is busy" in (chat.error() or ""))
    house.stop()
    poll(page, lambda: not chat.is_answering())
    chat.retry()
    poll(page, lambda: chat.last_answer() == "You said: is anybody there")
    chat.wait_until_done()
    assert not chat.error()
    assert [text.strip() for text in chat.messages()] == ["is anybody there"]
