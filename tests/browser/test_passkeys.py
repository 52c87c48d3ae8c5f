"""Passkeys in a real Chromium, whose virtual authenticator makes and uses them (WebAuthn through the DevTools protocol)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from auth.middleware import Guard
from auth.parts import Options, open_auth
from auth.routes import HALF, PUBLIC, auth_routes
from auth.site import Site
from limits.axe import overflow, violations
from portal.pages import render
from tests.support.auth import NoModels
from tests.support.clock import wait_until

SECRET = "a secret that only the tests know, 48 characters"
NAME = "http://localhost"


class House:
    """The sign-in pages on loopback, where the link alone does not do. `url` is its name, `bare` its address without one."""

    def __init__(self, database: Engine, required: bool) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url, self.bare = f"{NAME}:{port}", f"http://127.0.0.1:{port}"
        site = Site.of(self.url, port)
        self.auth = open_auth(database, Options(site, [SECRET], link_needs_second_factor=required))

        async def home(request: Request) -> Response:
            return PlainTextResponse(f"Hello {request.scope['user'].account.name}")

        routes = [Route("/", home), *auth_routes(self.auth, render, lambda: None, lambda user: {}, lambda user: None, NoModels())]
        guard = Guard(Starlette(routes=routes), self.auth.sessions, site, PUBLIC, HALF)
        config = uvicorn.Config(guard, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]}, daemon=True)

    def __enter__(self) -> House:
        self._thread.start()
        wait_until(lambda: self._server.started)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listening.close()

    def sign_in(self, page: Page, at: str = "") -> None:
        """By the terminal's link: as far as it leads."""
        page.goto(f"{at or self.url}/auth/sign-in")
        page.goto(f"{at or self.url}/auth/link#{self.auth.links.create()}")
        page.get_by_role("button", name="Sign in").click()

    def record(self) -> list[str]:
        return [entry.event for entry in reversed(self.auth.audit.entries())]


@pytest.fixture
def house(database: Engine) -> Iterator[House]:
    with House(database, required=True) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 390, "height": 844})
    made.set_default_timeout(15_000)
    yield made
    made.close()


class Device:
    """Chromium's virtual authenticator: a phone or a laptop with its own passkeys."""

    def __init__(self, page: Page, **options: Any) -> None:
        self._devtools: CDPSession = page.context.new_cdp_session(page)
        self._devtools.send("WebAuthn.enable")
        kind = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        self._id = self._devtools.send("WebAuthn.addVirtualAuthenticator", {"options": kind | options})["authenticatorId"]

    @property
    def credentials(self) -> list[dict[str, Any]]:
        found = self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._id})["credentials"]
        return list(found)

    def forget(self) -> None:
        self._devtools.send("WebAuthn.clearCredentials", {"authenticatorId": self._id})

    def count(self, signed: int) -> None:
        """Set the sign count back, or on: what a copied key would show."""
        (credential,) = self.credentials
        self.forget()
        credential |= {"signCount": signed}
        self._devtools.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": credential})


def enrol(house: House, page: Page) -> None:
    """From the link to home: a passkey as the first factor, and the recovery codes."""
    house.sign_in(page)
    page.get_by_role("link", name="Use a passkey instead").click()
    page.get_by_role("button", name="Add this passkey").click()
    page.get_by_role("button", name="Show my recovery codes").click()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Hello Owner")).to_be_visible()


def test_a_passkey_is_enrolled_on_the_way_in_and_signs_in_the_next_time(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    device = Device(page)
    enrol(house, page)
    (credential,) = device.credentials
    assert credential["rpId"] == "localhost"
    assert credential["isResidentCredential"], "so that phones and password managers keep it"
    (kept,) = house.auth.passkeys.all("owner")
    assert kept.name == "Passkey on Linux"
    assert house.auth.recovery.left("owner") == 10

    context.clear_cookies()
    house.sign_in(page)
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Hello Owner")).to_be_visible()
    (kept,) = house.auth.passkeys.all("owner")
    assert kept.used_at
    assert house.record() == [
        "passkey-added", "second-factor", "sign-in", "recovery-codes-made", "second-factor", "sign-in",
    ]  # fmt: skip


def test_a_browser_is_remembered_by_those_who_have_a_passkey_alone(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    Device(page)
    enrol(house, page)
    session = next(cookie["name"] for cookie in context.cookies())
    context.clear_cookies()
    house.sign_in(page)
    page.get_by_label("Remember this browser").check()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Hello Owner")).to_be_visible()
    context.clear_cookies(name=session)
    house.sign_in(page)
    expect(page.get_by_text("Hello Owner")).to_be_visible()


def test_what_goes_wrong_is_said_at_the_button_in_words(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    device = Device(page)
    enrol(house, page)
    context.clear_cookies()
    house.sign_in(page)
    button, alert = page.get_by_role("button", name="Use a passkey"), page.locator("#passkey-error")
    device.forget()
    button.click()
    expect(alert).to_contain_text("this device has no passkey for this address")
    expect(button).to_be_focused()
    page.evaluate("() => { navigator.credentials.get = () => { throw new DOMException('', 'NotSupportedError') } }")
    button.click()
    expect(alert).to_contain_text("Try another device or browser")
    page.route("**/passkey/options", lambda route: route.abort())
    button.click()
    expect(alert).to_contain_text("The server cannot be reached")


def test_a_copied_passkey_is_refused_and_five_of_them_lock_the_account(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    device = Device(page)
    enrol(house, page)
    context.clear_cookies()
    house.sign_in(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Hello Owner")).to_be_visible()
    context.clear_cookies()
    house.sign_in(page)
    alert = page.locator("#passkey-error")
    for _ in range(4):
        device.count(0)
        page.get_by_role("button", name="Use a passkey").click()
        expect(alert).to_contain_text("That passkey was not taken")
    device.count(0)
    page.get_by_role("button", name="Use a passkey").click()
    expect(alert).to_contain_text("Too many wrong second factors were given. Try again in 1")
    device.count(1000)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/auth/sign-in*")
    assert house.record().count("second-factor-failed") == 5
    assert house.record()[-1] == "locked"


def test_the_same_device_is_added_once(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    Device(page)
    enrol(house, page)
    page.goto(f"{house.url}/auth/two-factor/passkey")
    expect(page.get_by_role("heading", name="Add another passkey")).to_be_visible()
    page.get_by_role("button", name="Add this passkey").click()
    expect(page.locator("#passkey-error")).to_contain_text("This device holds a passkey for your account already")
    assert len(house.auth.passkeys.all("owner")) == 1


def test_a_plain_security_key_without_a_pin_is_added_beside_it(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    first = Device(page)
    enrol(house, page)
    first._devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": first._id})
    Device(page, transport="usb", hasUserVerification=False, isUserVerified=False, hasResidentKey=False)
    page.goto(f"{house.url}/auth/two-factor/passkey?next=/auth/account")
    page.get_by_label("Name").fill("Key on my ring")
    page.get_by_role("button", name="Add this passkey").click()
    page.wait_for_url(f"{house.url}/auth/account")
    assert [one.name for one in house.auth.passkeys.all("owner")] == ["Passkey on Linux", "Key on my ring"]
    assert house.auth.recovery.left("owner") == 10, "codes that one has stay as they are"
    context.clear_cookies()
    house.sign_in(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Hello Owner")).to_be_visible()


def test_at_a_bare_address_the_page_says_where_passkeys_work(house: House, context: BrowserContext) -> None:
    page = context.new_page()
    house.sign_in(page, house.bare)
    page.goto(f"{house.bare}/auth/two-factor/passkey")
    expect(page.get_by_text("Passkeys do not work at")).to_contain_text(house.bare)
    expect(page.get_by_role("link", name=house.url)).to_have_attribute("href", house.url)
    expect(page.get_by_role("button", name="Add this passkey")).to_have_count(0)
    page.get_by_role("link", name="Use an authenticator app instead").click()
    expect(page.get_by_label("Six-digit code")).to_be_visible()


def test_a_browser_without_passkeys_is_told_so(house: House, context: BrowserContext) -> None:
    context.add_init_script("delete window.PublicKeyCredential")
    page = context.new_page()
    house.sign_in(page)
    page.goto(f"{house.url}/auth/two-factor/passkey")
    expect(page.locator("#passkey-error")).to_contain_text("This browser does not do passkeys")
    expect(page.get_by_role("button", name="Add this passkey")).to_be_disabled()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_both_pages_are_open_to_everyone(house: House, browser: Browser, width: int, colours: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=colours)
    page = context.new_page()
    Device(page)
    house.sign_in(page)
    page.goto(f"{house.url}/auth/two-factor/passkey")
    assert not violations(page)
    assert overflow(page) <= 0
    page.goto(f"{house.bare}/auth/two-factor/passkey")
    page.goto(f"{house.url}/auth/two-factor/passkey")
    page.get_by_role("button", name="Add this passkey").click()
    page.wait_for_url("**/recovery-codes*")
    context.clear_cookies()
    house.sign_in(page)
    expect(page.get_by_role("button", name="Use a passkey")).to_be_enabled()
    assert not violations(page)
    assert overflow(page) <= 0
    context.close()
