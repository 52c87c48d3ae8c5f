"""Someone at a browser of their own, as the journeys tell of them: what they click, type and keep."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pyotp
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect
from sqlalchemy import select, update

from auth.factors import FAILURES_A_LOCK
from auth.sessions import Account, Sessions
from auth.store import totp, users, utc_now
from core.settings import FRONTENDS
from tests.browser.house import House

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
PATIENCE_MS = 20_000  # a busy machine is no failure

expect.set_options(timeout=PATIENCE_MS)


class Person:
    """`login` is who they are at the provider. They keep their app's secret and their recovery codes from page to page."""

    def __init__(self, house: House, page: Page, login: str = "") -> None:
        self.house, self.page, self.login = house, page, login
        self.email = login if "@" in login else f"{login}@example.com"
        self.codes: list[str] = []
        self.app: pyotp.TOTP | None = None
        self._known_at_provider = False

    # What one does on any page

    def open(self, path: str = "/") -> None:
        self.page.goto(self.house.url + path)

    def click(self, name: str) -> None:
        """The button or link of this name."""
        self.page.get_by_role("button", name=name, exact=True).or_(self.page.get_by_role("link", name=name, exact=True)).click()

    def reads(self, heading: str) -> None:
        """The page's own heading is this; waited for."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)

    def waits_until(self, condition: Callable[[], object], seconds: float) -> None:
        """Polls with the browser's own clock running, which a plain sleep would hold up."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain"
            self.page.wait_for_timeout(20)

    # Signing in and out

    def sign_in_with_provider(self) -> None:
        """Both pages of the provider the first time; it remembers its own sign-in, as Google does."""
        self.open("/auth/sign-in")
        self.click("Continue with Google")
        if not self._known_at_provider:
            self.pass_provider(self.login)

    def pass_provider(self, login: str) -> None:
        """Its two pages: who one is, and whether Portico may know one's name and address."""
        self.page.get_by_placeholder("Enter any login").fill(login)
        self.page.get_by_placeholder("and password").fill("anything")
        self.click("Sign-in")
        self.click("Continue")
        self._known_at_provider = True

    def enrol(self, downloads: Path) -> None:
        """Set up the app, and keep the recovery codes: as they stand there, and as a file."""
        self.begin_enrolment()
        with self.page.expect_download() as download:
            self.click("Download")
        download.value.save_as(file := downloads / f"{self.login}.txt")
        assert set(self.codes) <= set(file.read_text(encoding="utf-8").split())
        self.click("I have kept them")

    def begin_enrolment(self) -> None:
        """As far as the page with the recovery codes; the app is given the key as text."""
        self.reads("Protect your account with a second step")
        key = self.page.locator("#secret")
        if not key.is_visible():
            self.page.get_by_text("Type this key instead").click()
        self.app = pyotp.TOTP(key.inner_text().replace(" ", ""))
        self.type_code(self.app.now(), "Confirm")
        self.reads("Keep these recovery codes")
        self.codes = self.page.get_by_role("list", name="Recovery codes").get_by_role("listitem").all_inner_texts()
        assert len(set(self.codes)) == 10

    def type_code(self, code: str, button: str = "Sign in") -> None:
        self.page.get_by_label("Six-digit code").fill(code)
        self.click(button)

    def code(self) -> str:
        """What the app shows now. A code is good once: the last one taken is forgotten, in place of waiting for 30 s."""
        assert self.app is not None
        with self.house.database() as database, database.begin() as connection:
            mine = totp.c.user_id.in_(select(users.c.id).where(users.c.email == self.email))
            connection.execute(update(totp).where(mine).values(last_step=0))
        return self.app.now()

    def wrong_code(self) -> str:
        """Six digits that the app shows neither now nor a step before or after."""
        assert self.app is not None
        near = {self.app.at(int(time.time()) + 30 * step) for step in range(-3, 4)}
        return next(code for code in map("{:06}".format, range(10)) if code not in near)

    def sign_in_with_code(self) -> None:
        self.sign_in_with_provider()
        self.reads("Confirm that it is you")
        self.type_code(self.code())
        self.is_home()

    def sign_in_with_recovery_code(self) -> None:
        """In, and past the page that tells how many are left."""
        self.sign_in_with_provider()
        self.click("Use a recovery code")
        self.type_recovery_code()
        self.reads("You are in")
        expect(self.page.get_by_role("main")).to_contain_text(f"You have {len(self.codes)} left")
        self.click("No, go on")
        self.is_home()

    def type_recovery_code(self) -> None:
        """Lower case and spaces do as well."""
        self.page.get_by_label("Recovery code").fill(self.codes.pop().lower().replace("-", " "))
        self.click("Sign in")

    def is_locked_out(self) -> None:
        """By wrong codes; from then on no code is looked at, on any way in."""
        self.sign_in_with_provider()
        self.reads("Confirm that it is you")
        for _ in range(FAILURES_A_LOCK - 1):
            self.type_code(self.wrong_code())
            expect(self.page.get_by_label("Six-digit code")).to_have_value("")  # the next page's
            expect(self.page.get_by_text("That code is not right")).to_be_visible()
        self.type_code(self.wrong_code())
        self.reads("Too many wrong codes")
        self.sign_in_with_provider()
        self.reads("Too many wrong codes")

    def was_last_asked(self, minutes: int) -> None:
        """From here on this browser has a session whose second factor was shown that long ago; no test could wait for it."""
        with self.house.database() as database:
            with database.begin() as connection:
                row = connection.execute(select(users).where(users.c.email == self.email)).one()
            past = Sessions(database, clock=lambda: utc_now() - timedelta(minutes=minutes))
            token = past.create(Account(row.id, row.name, row.role), method="google")
        name = f"portico-{self.house.url.rpartition(':')[2]}"
        self.page.context.add_cookies([{"name": name, "value": token, "url": self.house.url}])

    def sign_out(self) -> None:
        self.click("Sign out")
        self.is_at_sign_in()

    def is_home(self) -> None:
        expect(self.page.locator("#frontend")).to_be_attached()

    def is_at_sign_in(self) -> None:
        """At once, or within the seconds in which an open page finds its session gone."""
        expect(self.page.get_by_role("heading", name="Sign in to Portico")).to_be_visible()

    # Passkeys

    def get_authenticator(self) -> None:
        """Chromium's own virtual one, which has its person's finger on it at all times."""
        devtools = self.page.context.new_cdp_session(self.page)
        devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True,
        }  # fmt: skip
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def add_passkey(self, name: str) -> None:
        self.open("/auth/account")
        self.click("Add a passkey")
        self.page.get_by_label("Name").fill(name)
        self.click("Add this passkey")
        expect(self.page.get_by_role("listitem").filter(has_text=name)).to_contain_text("not used yet")

    def sign_in_with_passkey(self) -> None:
        self.sign_in_with_provider()
        self.click("Use a passkey")
        self.is_home()

    # The chat

    def chat(self, frontend: str = FRONTENDS[0]) -> Any:
        """The driver of the frontend that stands in the home page."""
        frame = self.page.locator("#frontend").element_handle().content_frame()
        assert isinstance(frame, Frame)
        return importlib.import_module(f"limits.drivers.{frontend}").Driver(frame).ready()

    def asks(self, message: str, frontend: str = FRONTENDS[0]) -> str:
        """The model's answer."""
        chat = self.chat(frontend)
        chat.send(message)
        chat.wait_until_done()
        return str(chat.last_answer())


class People:
    """Opens a browser for each person, and closes them all; none may have asked an outside host. Use it `with`."""

    def __init__(self, house: House, browser: Browser) -> None:
        self._house, self._browser = house, browser
        self._contexts: list[BrowserContext] = []
        self._asked: set[str] = set()

    def __call__(self, login: str = "", **device: Any) -> Person:
        context = self._browser.new_context(**(device or DESKTOP))
        context.on("request", lambda request: self._asked.add(urlsplit(request.url).netloc))
        self._contexts.append(context)
        return Person(self._house, context.new_page(), login)

    def __enter__(self) -> People:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for context in self._contexts:
            context.close()
        outside = self._asked - self._house.hosts - {""}
        assert not outside, f"the browser asked outside hosts: {outside}"
