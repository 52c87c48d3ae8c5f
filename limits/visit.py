"""What a measure is given: a running subject, a browser, and where pictures go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Page

from limits.subjects import Driver, Running, Subject
from limits.token_server import TokenServer

if TYPE_CHECKING:
    from limits.play import StepResult

DESKTOP, PHONE, NARROW = (1280, 800), (390, 844), (320, 640)


@dataclass(slots=True)
class Visit:
    """One subject in one round.

    `control` is what the control page read in this round, by metric, for ratios to it; `steps` are the scenario's, once played.
    """

    subject: Subject
    running: Running
    tokens: TokenServer
    browser: Browser
    pictures: Path
    control: dict[str, float]
    steps: list[StepResult] = field(default_factory=list)

    @contextmanager
    def page(self, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Page]:
        """A page in a browser context of its own, signed in, not yet at the subject's address; `options` are the context's."""
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        try:
            page = context.new_page()
            self.running.sign_in(page)
            yield page
        finally:
            context.close()

    def open(self, page: Page) -> Driver:
        """Go to the subject's page and wait until one can type."""
        page.goto(self.running.url)
        return self.subject.driver(page).ready()

    def picture(self, page: Page, name: str) -> str:
        """Take a picture for the report; back with its file's name."""
        file = f"{self.subject.id}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}.png"
        page.screenshot(path=self.pictures / file)
        return file
