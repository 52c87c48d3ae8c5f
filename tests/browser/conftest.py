"""A running Portico with a scripted model, a real Chromium, and one page a test."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from core.settings import FRONTENDS
from limits.chromium import ARGS, chromium_path
from tests.browser.house import ADMIN, House, open_house
from tests.browser.person import People, Person
from tests.support.serve import Served

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("data")) as running:
        yield running.wait_ready()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path(), args=ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A Portico with a provider to sign in with."""
    with open_house(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture
def people(house: House, browser: Browser) -> Iterator[People]:
    """`people("ada")` is Ada at a browser of her own."""
    with People(house, browser) as made:
        yield made


@pytest.fixture(scope="package")
def grace(house: House, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """The admin, signed in with an app of her own, in a browser that stays open."""
    with People(house, browser) as made:
        admin = made(ADMIN)
        admin.sign_in_with_provider()
        admin.enrol(tmp_path_factory.mktemp("grace"))
        admin.is_home()
        yield admin


class Seen:
    """What a browser asked for and complained about; checked when the test ends."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.complaints: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self.hosts.add(request.url.partition("://")[2].partition("/")[0]))
        context.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def open_page(served: Served, browser: Browser, seen: Seen) -> Iterator[OpenPage]:
    """`open_page(user)` is a page signed in as that user, in a browser context of its own; no outside host may be asked."""
    contexts: list[BrowserContext] = []

    def make(user: str = "owner", width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        cookies = served.session(user).items() if user else ()
        context.add_cookies([{"name": name, "value": value, "url": served.url} for name, value in cookies])
        seen.watch(context)
        contexts.append(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()
    outside = {host for host in seen.hosts if host and host != served.url.partition("://")[2]}
    assert not outside, f"the browser asked outside hosts: {outside}"


@pytest.fixture(params=FRONTENDS)
def frontend(request: pytest.FixtureRequest) -> str:
    """Each frontend in turn: one that is added is tested by being registered."""
    return str(request.param)


def driver(name: str) -> Any:
    """The class that drives a frontend's page."""
    return importlib.import_module(f"limits.drivers.{name}").Driver
