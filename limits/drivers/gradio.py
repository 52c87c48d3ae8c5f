"""Drives the Gradio page in a browser, in the words of a person; the same class is there for every frontend."""

from __future__ import annotations

import re
from typing import ClassVar

from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect

from limits.drivers import Places, stock_gradio

READY_MS = 30_000


class Driver:
    """`root` is the page, or the frame that the home page holds it in."""

    path = "/gradio/"
    ANSWER = "#chat .bot-row .message-content:not(:has(.stats, .failed, .skeleton))"
    PLACES: ClassVar[Places] = {
        **stock_gradio.Driver.PLACES,
        "surface": (("#composer .input-container", "background-color"),),
        "border": (("#composer .input-container", "border-top-color"),),
        "muted": (("#composer textarea::placeholder", "color"),),
        "radius of the composer": (("#composer .input-container", "border-top-left-radius"),),
    }

    def __init__(self, root: Page | Frame | FrameLocator) -> None:
        self.root = root

    @classmethod
    def open(cls, page: Page, base_url: str, conversation: str | None = None) -> Driver:
        """Go to the page by itself and wait until one can type."""
        query = f"?c={conversation}" if conversation else ""
        page.goto(base_url.rstrip("/") + cls.path + query)
        return cls(page).ready()

    def ready(self) -> Driver:
        """Wait until the conversation is drawn and one can type."""
        expect(self._shown).to_have_text(re.compile(r"\w+ \w+ \w+ \w+"), timeout=READY_MS)
        expect(self.composer).to_be_editable()
        return self

    @property
    def composer(self) -> Locator:
        return self.root.locator("#composer textarea")

    @property
    def _shown(self) -> Locator:
        """What the page tells its script: conversation, state, how it came, and a token that changes each time."""
        return self.root.locator("#signal .md")

    @property
    def answers(self) -> Locator:
        return self.root.locator("#chat .bot-row")

    def send(self, text: str) -> None:
        """Type and press Enter; back when the message is shown, or refused."""
        before = self._signal()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(self._shown).not_to_have_text(before)

    def last_answer(self) -> str:
        """The last answer's text without the line under it; "" before its first token."""
        parts = self.answers.last.locator(".message-content:not(:has(.stats, .failed, .skeleton))")
        return "\n".join(parts.all_inner_texts()).strip()

    def is_answering(self) -> bool:
        return self._signal().split()[1] == "answering"

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Wait until the answer stands."""
        expect(self._shown).not_to_have_text(re.compile("answering"), timeout=timeout_s * 1000)

    def wait_until_answering(self) -> None:
        expect(self._shown).to_have_text(re.compile("answering"))

    def choose_example(self, text: str) -> None:
        self.root.locator("#chat .examples").get_by_role("button", name=text).click()
        expect(self.root.locator("#chat .user-row")).to_have_count(1)

    def draft(self) -> str:
        return self.composer.input_value()

    def messages(self) -> list[str]:
        """What the person said, oldest first."""
        return [text.strip() for text in self.root.locator("#chat .user-row .message-content").all_inner_texts()]

    def stop(self) -> None:
        self.root.get_by_role("button", name="Stop", exact=True).click()

    def retry(self) -> None:
        self._ask_again("Retry")

    def regenerate(self) -> None:
        self._ask_again("Regenerate")

    def _ask_again(self, name: str) -> None:
        """Press the button, and wait until the new answer has begun."""
        before = self._signal()
        self.root.get_by_role("button", name=name, exact=True).click()
        expect(self._shown).not_to_have_text(before)

    def copy(self) -> None:
        self.root.locator("#chat .options").get_by_role("button", name="Copy", exact=True).click()

    def clear(self) -> None:
        """Delete the conversation, and say that one means it."""
        self.open_settings()
        self.root.get_by_role("button", name="Clear", exact=True).click()
        self.root.get_by_role("button", name="Delete", exact=True).click()
        expect(self._shown).to_have_text(re.compile("^new empty"))

    def new_chat(self) -> None:
        self.open_settings()
        self.root.get_by_role("button", name="New chat", exact=True).click()
        expect(self._shown).to_have_text(re.compile("^new empty"))

    def open_conversation(self, title: str) -> None:
        """Open the conversation with this title."""
        self.open_settings()
        self.root.get_by_role("radio", name=title).first.check(force=True)

    def conversations(self) -> list[str]:
        """The titles in the side panel, newest first."""
        return self.root.locator("#conversations label").all_inner_texts()

    def close_settings(self) -> None:
        """Close the side panel, which lies over the conversation on a narrow screen."""
        if self.root.get_by_role("button", name="Settings", exact=True).get_attribute("aria-expanded") == "true":
            self.composer.press("Escape")

    def field(self, label: str) -> str:
        """What a field of the side panel shows."""
        return self._field(label).input_value()

    def stats(self) -> str:
        """The line under the last answer; "" while there is none."""
        found = self.answers.last.locator(".stats")
        return found.inner_text() if found.count() else ""

    def place(self) -> str:
        """Where a waiting answer stands in the queue; "" while none waits."""
        found = self.root.locator("#chat .place")
        return found.inner_text() if found.count() else ""

    def error(self) -> str | None:
        """The sentence that is shown: above the composer, or in place of the last answer."""
        for place in (self.root.locator("#notice"), self.answers.last.locator(".failed")):
            if place.count() and place.is_visible():
                return place.inner_text().strip()
        return None

    def open_settings(self) -> None:
        button = self.root.get_by_role("button", name="Settings", exact=True)
        if button.get_attribute("aria-expanded") != "true":
            button.click()

    def set_field(self, label: str, value: str | float | bool) -> None:
        self.open_settings()
        if isinstance(value, bool):
            self.root.get_by_label(label).set_checked(value)
            return
        self._field(label).fill(str(value))
        self._field(label).press("Tab")

    def choose(self, label: str, value: str) -> list[str]:
        """Choose `value` in the side panel; back with all that there was to choose from."""
        self.open_settings()
        box = self.root.locator("#fields").get_by_role("combobox", name=label)
        box.click()
        options = self.root.get_by_role("option")
        expect(options.first).to_be_visible()
        offered = [one.get_attribute("aria-label") or "" for one in options.all()]
        options.and_(self.root.get_by_label(value, exact=True)).click()
        expect(box).to_have_value(value)
        return offered

    def has_field(self, label: str) -> bool:
        return self.root.locator("#fields").get_by_label(label, exact=True).count() > 0

    def _field(self, label: str) -> Locator:
        boxes = self.root.locator("#fields").locator("input:not([type=range]), textarea")
        return self.root.locator("#fields").get_by_label(label).and_(boxes).first

    def _signal(self) -> str:
        return self._shown.text_content() or ""
