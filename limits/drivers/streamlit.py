"""Drives the Streamlit frontend in a browser, as a person would: by what is read and named on the page."""

from __future__ import annotations

import re
from typing import ClassVar

from playwright.sync_api import Frame, Locator, Page, expect

from limits.drivers import Places, stock_streamlit

READY_MS = 20_000


class Driver:
    """`root` is the page, or the frame that the home page holds the frontend in."""

    path = "/streamlit/"
    ANSWER = '[class*="st-key-answer-"] .stMarkdown:not(:has([data-testid=stCaptionContainer]))'
    PLACES: ClassVar[Places] = stock_streamlit.Driver.PLACES

    def __init__(self, root: Page | Frame) -> None:
        self.root = root

    @classmethod
    def open(cls, page: Page, base_url: str, conversation: str | None = None) -> Driver:
        """Load the frontend itself, outside the home page; returns when a message can be typed."""
        page.goto(base_url.rstrip("/") + cls.path + (f"?c={conversation}" if conversation else ""))
        return cls(page).ready()

    def ready(self) -> Driver:
        """Wait until a message can be typed and the page's script rests or streams."""
        expect(self.composer).to_be_enabled(timeout=READY_MS)
        expect(self._shown).to_be_attached(timeout=READY_MS)
        return self

    @property
    def composer(self) -> Locator:
        return self.root.get_by_placeholder("Message Portico…")

    @property
    def _shown(self) -> Locator:
        return self.root.locator('.st-key-welcome, [class*="st-key-asked-"]').first

    @property
    def _answers(self) -> Locator:
        return self.root.locator('[class*="st-key-answer-"]')

    @property
    def _stop_button(self) -> Locator:
        """And not the one that explains the stop strings."""
        return self.root.get_by_role("button", name=re.compile("^Stop"))

    def send(self, text: str) -> None:
        """Send `text`; returns when it is shown as said, or when a sentence above the composer says why not."""
        said = self.root.locator('[class*="st-key-asked-"]')
        told = self.root.locator(".stBottom").get_by_role("alert")
        next_one = said.filter(has_text=" ".join(text.split())[:40]).last  # by its text: for a moment two slots hold the others
        if not told.count():  # one that is there already says nothing of this message
            next_one = next_one.or_(told).first
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(next_one).to_be_attached(timeout=READY_MS)

    def choose_example(self, text: str) -> None:
        self.root.locator(".st-key-examples").get_by_role("button", name=text).click()
        expect(self.root.locator('[class*="st-key-asked-"]')).to_have_count(1, timeout=READY_MS)

    def draft(self) -> str:
        return self.composer.input_value()

    def messages(self) -> list[str]:
        """What the person said, oldest first."""
        return self.root.locator('[class*="st-key-asked-"]').all_inner_texts()

    def last_answer(self) -> str:
        """The text of the last answer as it is rendered; "" while there is none."""
        if not self._answers.count():
            return ""
        return "\n".join(self._answers.last.locator(".stMarkdown:not(:has([data-testid=stCaptionContainer]))").all_inner_texts())

    def is_answering(self) -> bool:
        return self._stop_button.count() > 0

    def wait_until_answering(self) -> None:
        expect(self._stop_button).to_be_visible(timeout=READY_MS)

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Wait until the last question's answer has its line of actions below it, and the page rests."""
        expect(self._answers.last.locator('[class*="st-key-below-"]')).to_be_attached(timeout=timeout_s * 1000)
        asked = self.root.locator('[class*="st-key-asked-"]')
        expect(self._answers).to_have_count(asked.count(), timeout=timeout_s * 1000)
        run = (asked.last.get_attribute("class") or "").partition("st-key-asked-")[2].split()[0]
        expect(self.root.locator(f".st-key-below-{run}")).to_be_attached(timeout=timeout_s * 1000)
        expect(self._stop_button).to_have_count(0)
        expect(self.root.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=READY_MS)

    def stop(self) -> None:
        self._stop_button.click()

    def retry(self) -> None:
        self._ask_again("Retry")

    def regenerate(self) -> None:
        self._ask_again("Regenerate")

    def _ask_again(self, name: str) -> None:
        """Press the button, and wait until another answer stands in the old one's place."""
        old = self._answers.last.get_attribute("class") or ""
        self.root.get_by_role("button", name=name).click()
        expect(self._answers.last).not_to_have_class(old, timeout=READY_MS)

    def copy(self) -> None:
        self.root.get_by_role("button", name="Copy", exact=True).last.click()

    def clear(self) -> None:
        self.open_settings()
        self.root.get_by_role("button", name="Clear").click()
        self.root.get_by_role("button", name="Delete", exact=True).click()
        expect(self.root.locator(".st-key-welcome")).to_be_visible(timeout=READY_MS)

    def new_chat(self) -> None:
        self.open_settings()
        self.root.get_by_role("button", name="New chat").click()
        expect(self.root.locator(".st-key-welcome")).to_be_visible(timeout=READY_MS)

    def stats(self) -> str:
        """What stands under the last answer, "" if there is nothing."""
        found = self._answers.last.locator("[data-testid=stCaptionContainer]")
        return found.last.inner_text() if found.count() else ""

    def place(self) -> str:
        """Where a waiting answer stands in the queue; "" while none waits."""
        found = self.root.locator(".portico-place")
        return found.last.inner_text() if found.count() else ""

    def error(self) -> str | None:
        """The sentence that is shown last, in the conversation or above the composer."""
        found = self.root.get_by_role("alert")
        return found.last.inner_text() if found.count() else None

    def open_settings(self) -> None:
        """Open the side panel if it is closed."""
        panel = self.root.locator(".stSidebar")
        if panel.get_attribute("data-collapsed") == "true":
            self.root.get_by_role("button", name="Settings").click()
        expect(panel).to_have_attribute("data-collapsed", "false")

    def close_settings(self) -> None:
        """Close the side panel, which lies over the conversation on a narrow screen."""
        self.root.locator(".stSidebar").hover()
        self.root.get_by_role("button", name="Collapse sidebar").click()

    def conversations(self) -> list[str]:
        """The titles in the side panel, newest first."""
        return self.root.locator(".st-key-conversations").get_by_role("button").all_inner_texts()

    def open_conversation(self, title: str) -> None:
        self.open_settings()
        self.root.locator(".st-key-conversations").get_by_role("button", name=title).first.click()

    def choose(self, label: str, value: str) -> list[str]:
        """Choose `value` in the side panel; back with all that there was to choose from."""
        self.open_settings()
        self.root.get_by_role("combobox", name=label).click()
        options = self.root.get_by_role("option")
        expect(options.first).to_be_visible()
        offered = options.all_inner_texts()
        options.filter(has_text=value).click()
        expect(self.root.get_by_role("combobox", name=label)).to_have_value(value)
        expect(self.root.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=READY_MS)
        return offered

    def has_field(self, label: str) -> bool:
        return self.root.locator(".stSidebar").get_by_label(label, exact=True).count() > 0

    def set_field(self, label: str, value: str | float | bool) -> None:
        """Set a field of the side panel, which must be open, by its label."""
        slider = self.root.get_by_role("slider", name=label)
        if slider.count():
            # By keys: what Playwright fills in is shown, yet never told to the server.
            step, now = float(slider.get_attribute("step") or 1), float(slider.input_value())
            for _ in range(round(abs(float(value) - now) / step)):
                slider.press("ArrowRight" if float(value) > now else "ArrowLeft")
            slider.press("Tab")
            return
        switch = self.root.get_by_role("switch", name=label).or_(self.root.get_by_role("checkbox", name=label))
        if isinstance(value, bool):
            if switch.is_checked() != value:
                switch.click()
            return
        box = self.root.get_by_label(label, exact=True)
        box.fill(str(value))
        box.press("Tab")

    def field(self, label: str) -> str:
        """What a field of the side panel shows."""
        slider = self.root.get_by_role("slider", name=label)
        return (slider if slider.count() else self.root.get_by_label(label, exact=True)).input_value()
