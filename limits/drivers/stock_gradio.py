"""Drives the stock Gradio app, gr.ChatInterface as it comes."""

from __future__ import annotations

from typing import ClassVar

from playwright.sync_api import Locator, Page, expect

from limits.drivers import Lacks, Places

READY_MS = 30_000


class Driver:
    """What it has: a stop button without a name, and below the last answer an icon named Retry, which regenerates."""

    ANSWER = ".bot-row .message-content"
    PLACES: ClassVar[Places] = {
        "background": (("body", "background-color"),),
        "surface": ((".input-container", "background-color"),),
        "bubble": ((".user-row .message", "background-color"),),
        "border": ((".input-container", "border-top-color"),),
        "text": ((".bot-row .prose p", "color"),),
        "muted": ((".input-container textarea::placeholder", "color"),),
        "accent": ((".submit-button", "background-color"),),
        "on_accent": ((".submit-button::after", "background-color"), (".submit-button", "color")),
        "font": ((".bot-row .prose p", "font-family"),),
        "font of code": ((".bot-row pre code", "font-family"),),
        "font size": ((".bot-row .prose p", "font-size"),),
        "radius of code": ((".bot-row pre", "border-top-left-radius"),),
        "radius of the bubble": ((".user-row .message", "border-top-left-radius"),),
        "radius of the composer": ((".input-container", "border-top-left-radius"),),
        "width of the column": ((".message-wrap", "content-width"),),
    }

    def __init__(self, root: Page) -> None:
        self.root = root

    def ready(self) -> Driver:
        expect(self.composer).to_be_enabled(timeout=READY_MS)
        return self

    @property
    def composer(self) -> Locator:
        return self.root.locator("textarea[data-testid=textbox]")

    @property
    def _error(self) -> Locator:
        """The pill that lies over the whole conversation."""
        return self.root.locator("[data-testid=status-tracker] .error").first

    def send(self, text: str) -> None:
        """Type and press Enter; back when the message is shown. Raises Lacks while nothing can be typed."""
        if self.composer.is_disabled():
            raise Lacks(
                "After an error the composer stays disabled until the page is loaded again."
                if self._error.is_visible()
                else "The composer is disabled while an answer comes."
            )
        said = self.root.locator(".user-row")
        before = said.count()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(said).to_have_count(before + 1)

    def last_answer(self) -> str:
        """The last answer's text; "" before its first token."""
        last = self.root.locator(".message-row").last
        found = last.locator(".message-content")
        is_answer = last.count() and "bot-row" in (last.get_attribute("class") or "")
        return "\n".join(found.all_inner_texts()).strip() if is_answer else ""

    def messages(self) -> list[str]:
        """What the person said, oldest first."""
        return [text.strip() for text in self.root.locator(".user-row .message-content").all_inner_texts()]

    def is_answering(self) -> bool:
        return self.composer.is_disabled() and not self._error.is_visible()

    def wait_until_answering(self) -> None:
        expect(self.root.get_by_test_id("stop-button")).to_be_visible()

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Wait until one can type again, or an error is shown."""
        enabled = self.root.locator("textarea[data-testid=textbox]:enabled")
        expect(enabled.or_(self._error).first).to_be_visible(timeout=timeout_s * 1000)

    def stop(self) -> None:
        self.root.get_by_test_id("stop-button").click()

    def regenerate(self) -> None:
        self.root.get_by_role("button", name="Retry", exact=True).click()
        expect(self.composer).to_be_disabled()

    def retry(self) -> None:
        raise Lacks("There is no Retry beside the error.")

    def error(self) -> str | None:
        return self._error.inner_text().strip() if self._error.is_visible() else None

    def draft(self) -> str:
        return self.composer.input_value()
