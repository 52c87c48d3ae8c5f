"""The control page does what a plain page can: it is the yardstick for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from limits.axe import overflow, violations
from limits.drivers.control import Driver
from limits.starting import stock
from limits.subjects import Running
from limits.token_server import TokenServer
from tests.support.clock import wait_until

TOP = "document.scrollingElement.scrollTop"


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture(scope="module")
def control(tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with stock("control")(tokens, tmp_path_factory.mktemp("control"), 0) as running:
        yield running


@pytest.fixture
def page(browser: Browser, control: Running) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 500})
    made = context.new_page()
    made.goto(control.url)
    yield made
    context.close()


def test_it_yields_to_who_scrolls_up(page: Page) -> None:
    driver = Driver(page).ready()
    driver.send("count to 1500 at 150")
    wait_until(lambda: page.evaluate(TOP) > 400, seconds=30)  # it follows
    page.evaluate("scrollBy(0, -200)")
    was = page.evaluate(TOP)
    page.wait_for_timeout(500)
    assert page.evaluate(TOP) == was
    page.get_by_role("button", name="Jump to latest").click()
    wait_until(lambda: page.evaluate(TOP) > was + 200)
    page.keyboard.press("Escape")
    driver.wait_until_done()
    assert page.get_by_role("status").inner_text() == "The answer was stopped."


def test_it_keeps_what_was_typed_and_said(page: Page) -> None:
    driver = Driver(page).ready()
    driver.send("count to 300 at 30")
    driver.composer.fill("a draft")
    wait_until(lambda: len(driver.last_answer().split()) > 40, seconds=20)
    page.reload()
    driver.ready()
    assert driver.draft() == "a draft"
    assert driver.messages() == ["count to 300 at 30"]
    assert driver.last_answer().startswith("1 2 3 ")
    assert (driver.error() or "").startswith("The connection was lost.")


def test_it_is_told_to_screen_readers_and_the_focus_stays(page: Page) -> None:
    driver = Driver(page).ready()
    page.keyboard.type("count to 40 at 20 mark-keys")  # one can type at once
    page.keyboard.press("Enter")
    wait_until(lambda: page.get_by_role("status").inner_text() == "The answer begins.", seconds=5)
    driver.wait_until_done()
    assert page.get_by_role("status").inner_text() == "The answer is complete."
    assert page.evaluate("document.activeElement.id") == "composer"
    page.keyboard.type("fail after 3")
    page.keyboard.press("Enter")
    driver.wait_until_done()
    assert driver.error() == "The model broke off. Press Retry to ask it again."
    assert driver.last_answer() == "1 2 3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_fault_that_axe_finds_and_fits_a_narrow_screen(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    driver = Driver(page).ready()
    assert violations(page) == []
    driver.send("table at 500")
    driver.wait_until_done()
    assert violations(page) == []
    assert overflow(page) == 0
