"""Drives the stock Streamlit app, st.chat_input and st.write_stream as they come."""

from __future__ import annotations

from typing import ClassVar

from playwright.sync_api import Locator, Page, expect

from limits.drivers import Lacks, Places

READY_MS = 30_000
USER, ASSISTANT = (f".stChatMessage:has([data-testid=stChatMessageAvatar{who}])" for who in ("User", "Assistant"))


class Driver:
    """What it has: Streamlit's own Stop, in the page's far corner, for any script that runs."""

    ANSWER = f"{ASSISTANT} [data-testid=stChatMessageContent]"
    PLACES: ClassVar[Places] = {
        "background": ((".stApp", "background-color"),),
        "surface": ((".stChatInput > div", "background-color"),),
        "bubble": ((USER, "background-color"),),
        "border": ((".stChatInput > div", "border-top-color"),),
        "text": ((f"{ASSISTANT} .stMarkdown p", "color"),),
        "muted": ((".stChatInput textarea::placeholder", "color"),),
        "accent": (("[data-testid=stChatInputSubmitButton]", "background-color"),),
        "on_accent": (("[data-testid=stChatInputSubmitButton]", "color"),),
        "font": ((f"{ASSISTANT} .stMarkdown p", "font-family"),),
        "font of code": ((".stCode code", "font-family"),),
        "font size": ((f"{ASSISTANT} .stMarkdown p", "font-size"),),
        "radius of code": ((".stCode pre", "border-top-left-radius"),),
        "radius of the bubble": ((USER, "border-top-left-radius"),),
        "radius of the composer": ((".stChatInput > div", "border-top-left-radius"),),
        "width of the column": ((".stMainBlockContainer", "content-width"),),
    }

    def __init__(self, root: Page) -> None:
        self.root = root

    def ready(self) -> Driver:
        expect(self.composer).to_be_enabled(timeout=READY_MS)
        expect(self.root.get_by_role("heading", level=1)).to_be_visible(timeout=READY_MS)
        return self

    @property
    def composer(self) -> Locator:
        return self.root.get_by_test_id("stChatInputTextArea")

    def send(self, text: str) -> None:
        """Type and press Enter; back when the message is shown."""
        said = self.root.locator(USER)
        before = said.count()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(said).to_have_count(before + 1, timeout=READY_MS)

    def last_answer(self) -> str:
        """The last answer's text; "" before its first token."""
        last = self.root.locator(".stChatMessage").last.and_(self.root.locator(ASSISTANT))
        return last.get_by_test_id("stChatMessageContent").inner_text().strip() if last.count() else ""

    def messages(self) -> list[str]:
        """What the person said, oldest first."""
        return [text.strip() for text in self.root.locator(f"{USER} [data-testid=stChatMessageContent]").all_inner_texts()]

    def is_answering(self) -> bool:
        return self._app.get_attribute("data-test-script-state") != "notRunning"

    @property
    def _app(self) -> Locator:
        return self.root.get_by_test_id("stApp")

    @property
    def _stop_button(self) -> Locator:
        return self.root.get_by_test_id("stStatusWidget").get_by_role("button", name="Stop", exact=True)

    def wait_until_answering(self) -> None:
        expect(self._stop_button).to_be_visible()

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Wait until the script rests."""
        expect(self._app).to_have_attribute("data-test-script-state", "notRunning", timeout=timeout_s * 1000)

    def stop(self) -> None:
        self._stop_button.click()

    def regenerate(self) -> None:
        raise Lacks("There is no Regenerate button.")

    def retry(self) -> None:
        raise Lacks("There is no Retry button.")

    def error(self) -> str | None:
        """What an alert says first: of an exception its name and message, with a traceback below."""
        found = self.root.get_by_role("alert")
        return found.last.inner_text().strip().partition("\n")[0] if found.count() else None

    def draft(self) -> str:
        return self.composer.input_value()
