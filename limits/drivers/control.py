"""Drives the control page."""

from __future__ import annotations

from typing import ClassVar

from playwright.sync_api import Locator, Page, expect

from limits.drivers import Places

READY_MS = 20_000


class Driver:
    ANSWER = ".answer"
    PLACES: ClassVar[Places] = {}  # it has no brand

    def __init__(self, root: Page) -> None:
        self.root = root

    def ready(self) -> Driver:
        expect(self.composer).to_be_editable(timeout=READY_MS)
        return self

    @property
    def composer(self) -> Locator:
        return self.root.get_by_role("textbox", name="Message")

    @property
    def _stop_button(self) -> Locator:
        return self.root.get_by_role("button", name="Stop", exact=True)

    def send(self, text: str) -> None:
        """Type and press Enter; back when the message is shown."""
        said = self.root.locator(".user")
        before = said.count()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(said).to_have_count(before + 1)

    def last_answer(self) -> str:
        """The last answer's text; "" before its first token."""
        found = self.root.locator("#conversation > .answer:last-child")
        return found.inner_text().strip() if found.count() else ""

    def messages(self) -> list[str]:
        """What the person said, oldest first."""
        return self.root.locator(".user").all_inner_texts()

    def is_answering(self) -> bool:
        return self._stop_button.count() > 0

    def wait_until_answering(self) -> None:
        expect(self._stop_button).to_be_visible()

    def wait_until_done(self, timeout_s: float = 60) -> None:
        expect(self._stop_button).to_have_count(0, timeout=timeout_s * 1000)

    def stop(self) -> None:
        self._stop_button.click()

    def retry(self) -> None:
        self._ask_again("Retry")

    def regenerate(self) -> None:
        self._ask_again("Regenerate")

    def _ask_again(self, name: str) -> None:
        """The page answers from within the click; what comes soon may be over before one looks."""
        self.root.get_by_role("button", name=name, exact=True).click()

    def error(self) -> str | None:
        return self.root.get_by_role("alert").inner_text().strip() or None

    def draft(self) -> str:
        return self.composer.input_value()
