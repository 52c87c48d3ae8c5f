"""What a measure is given: a running subject, a browser, and where pictures go."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from limits.subjects import Driver, Running, Subject
from limits.token_server import TokenServer

if TYPE_CHECKING:
    from limits.play import StepResult

DESKTOP, PHONE, NARROW = (1280, 800), (390, 844), (320, 640)


@dataclass(slots=True)
class Visit:
    """One subject in one round, the first being 1.

    `control` is what the control page read in this round, by metric, for ratios to it; `steps` are the scenario's, once played.
    """

    subject: Subject
    running: Running
    tokens: TokenServer
    browser: Browser
    pictures: Path
    control: dict[str, float]
    steps: list[StepResult] = field(default_factory=list)
    round: int = 1

    @contextmanager
    def page(self, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Page]:
        """A page in a browser context of its own, signed in, not yet at the subject's address; `options` are the context's."""
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        try:
            page = context.new_page()
            self.running.sign_in(page)
            yield page
        finally:
            with suppress(PlaywrightError):  # what broke is closed, and what was read is wanted
                context.close()

    def open(self, page: Page) -> Driver:
        """Go to the subject's page and wait until one can type."""
        page.goto(self.running.url)
        return self.subject.driver(page).ready()

    def picture(self, page: Page, name: str) -> str:
        """Take a picture for the report; back with its file's name, which no other round gives."""
        words = re.sub(r"[^a-z0-9]+", "-", name.lower())
        file = f"{self.subject.id}-{words}{f'-round-{self.round}' if self.round > 1 else ''}.png"
        page.screenshot(path=self.pictures / file)
        return file

    def proof(self, page: Page, name: str) -> str:
        """The same of something that is wrong: "" where the page gives no picture, since words say what is wrong."""
        with suppress(PlaywrightError):
            return self.picture(page, name)
        return ""


def poll(page: Page, condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition()` becomes true within `seconds`; the page's own clock runs meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(30)
    return True
