"""Side by side, in a real Chromium: one message, both frontends, one conversation, at three widths."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, Route, expect

from core.settings import FRONTENDS
from limits.axe import overflow, violations
from tests.browser.conftest import OpenPage, Seen, driver
from tests.browser.test_first_light import poll, stored_run
from tests.support.serve import Served

WIDTHS = {"Phone": 390, "Tablet": 768, "Desktop": 1280}
PATIENCE_MS = 20_000


class SideBySide:
    """The page, and in it the driver of each frontend by its name."""

    def __init__(self, page: Page, served: Served, query: str = "?c=new") -> None:
        self.page = page
        page.goto(f"{served.url}/compare{query}")
        self.chats: dict[str, Any] = {name: driver(name)(self.frame(name)).ready() for name in FRONTENDS}

    def frame(self, name: str) -> Frame:
        found = self.page.locator(f"section[data-ui={name}] iframe").element_handle().content_frame()
        assert isinstance(found, Frame)
        return found

    @property
    def composer(self) -> Any:
        return self.page.get_by_role("textbox", name="Message")

    @property
    def error(self) -> Any:
        """Where a sentence stands above the composer; empty while there is none."""
        return self.page.locator("#composer [role=alert]")

    def ask(self, message: str) -> None:
        self.composer.fill(message)
        self.composer.press("Enter")

    def wait(self, *messages: str) -> None:
        """Until every frontend shows these messages, and the last answer stands."""
        poll(self.page, lambda: all([text.strip() for text in chat.messages()] == [*messages] for chat in self.chats.values()))
        for chat in self.chats.values() if messages else ():
            chat.wait_until_done()
        expect(self.page.get_by_role("button", name="Send message")).to_be_visible(timeout=PATIENCE_MS)

    def answers(self) -> list[list[str]]:
        return [chat.last_answer().split() for chat in self.chats.values()]

    def are_counting(self) -> bool:
        """Whether each shows the first words of a count; the answer before it, which still stands for a moment, is none."""
        return all(words[:4] == ["1", "2", "3", "4"] for words in self.answers())


def test_one_prompt_is_drawn_live_by_both_and_so_is_the_next(served: Served, open_page: OpenPage, seen: Seen) -> None:
    both = SideBySide(open_page("side-by-side"), served)
    for name in FRONTENDS:
        both.frame(name).evaluate("window.neverLoadedAnew = true")
    both.ask("count to 90")
    grown: dict[str, set[int]] = {name: set() for name in FRONTENDS}

    def both_grow() -> bool:
        for name, chat in both.chats.items():
            grown[name].add(len(chat.last_answer().split()))
        return all(len(lengths) > 4 for lengths in grown.values())

    poll(both.page, both_grow)
    expect(both.page.get_by_text("Scripted is answering")).to_be_visible()
    assert both.composer.input_value() == ""
    both.wait("count to 90")
    assert both.answers() == [[str(number) for number in range(1, 91)]] * len(FRONTENDS)

    both.ask("and hello")
    both.wait("count to 90", "and hello")
    assert both.answers() == [["You", "said:", "and", "hello"]] * len(FRONTENDS)
    expect(both.page.get_by_text("Scripted · 4 tokens")).to_be_visible()
    assert all(both.frame(name).evaluate("window.neverLoadedAnew") for name in FRONTENDS)
    run = stored_run(served, "and hello")
    expect(both.page).to_have_url(re.compile(f"/compare.*c={run.conversation_id}"))
    assert seen.complaints == []


def test_each_width_is_the_one_that_the_frontends_are_laid_out_in(served: Served, open_page: OpenPage) -> None:
    page = open_page("wide", width=1280)
    both = SideBySide(page, served)
    expect(page.get_by_role("radio", name="Phone")).to_be_checked()  # the widest that needs no scaling here
    for name, pixels in WIDTHS.items():
        page.get_by_role("radio", name=name).check(force=True)
        for one in FRONTENDS:
            assert both.frame(one).evaluate("innerWidth") == pixels
            box = page.locator(f"section[data-ui={one}] iframe").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 1280
            assert box["width"] <= pixels
            assert box["width"] == pytest.approx(pixels, abs=1) or box["width"] > 550, "as large as there is room"
    both.chats["gradio"].composer.click()  # what is drawn smaller is used like anything else
    expect(page).to_have_url(re.compile("width=desktop"))
    page.reload()
    expect(page.get_by_role("radio", name="Desktop")).to_be_checked()
    page.set_viewport_size({"width": 1700, "height": 900})
    page.goto(f"{served.url}/compare?c=new")
    expect(page.get_by_role("radio", name="Tablet")).to_be_checked()


def test_what_begins_in_one_frontend_is_shown_by_the_other(served: Served, open_page: OpenPage, frontend: str) -> None:
    both = SideBySide(open_page(f"inside-{frontend}"), served)
    chat = both.chats[frontend]
    chat.send("count to 50")
    both.wait("count to 50")
    run = stored_run(served, "count to 50")
    expect(both.page).to_have_url(re.compile(run.conversation_id))
    chat.send("hello")  # so short that the other may never see it run
    both.wait("count to 50", "hello")
    chat.regenerate()
    poll(both.page, lambda: stored_run(served, "hello").parent_id == run.id)
    both.wait("count to 50", "hello")
    chat.new_chat()
    poll(both.page, lambda: all(one.messages() == [] for one in both.chats.values()))
    expect(both.page).to_have_url(re.compile("c=new"))
    both.ask("in a new one")
    both.wait("in a new one")
    both.page.get_by_role("button", name="New chat").first.click()
    both.wait()


def test_the_settings_of_a_frontends_panel_stay_as_they_are(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"panel-{frontend}", width=1600)
    both = SideBySide(page, served, "?c=new&width=desktop")
    both.ask("hello")
    both.wait("hello")
    chat = both.chats[frontend]
    chat.open_settings()
    chat.set_field("Maximum answer length", 7)
    chat.composer.fill("a draft of my own")
    both.ask("count to 30")
    both.wait("hello", "count to 30")
    assert both.answers()[0][-1] == "30"
    assert float(chat.field("Maximum answer length")) == 7
    assert chat.draft() == "a draft of my own"


def test_enter_while_a_message_is_on_its_way_sends_the_next_after_it(served: Served, open_page: OpenPage) -> None:
    page = open_page("two-enters")
    both = SideBySide(page, served)
    held: list[Route] = []
    page.route("**/compare/ask", lambda route: route.continue_() if held else held.append(route))
    both.ask("count to 900, held")
    poll(page, lambda: held)
    both.ask("the next")
    held[0].continue_()
    expect(both.error).to_contain_text("The model is still answering in this conversation", timeout=PATIENCE_MS)
    expect(both.composer).to_have_value("the next")
    page.keyboard.press("Escape")
    poll(page, lambda: stored_run(served, "count to 900, held").reason == "cancelled")


@pytest.mark.parametrize("how", ["button", "escape"])
def test_stop_keeps_what_there_is(served: Served, open_page: OpenPage, how: str) -> None:
    page = open_page(f"stop-{how}")
    both = SideBySide(page, served)
    message = f"count to 900, {how}"
    both.ask(message)
    poll(page, both.are_counting)
    both.composer.press_sequentially("my next thought")
    if how == "button":
        page.locator("#composer").get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    both.wait(message)
    assert stored_run(served, message).reason == "cancelled"
    assert all("Stopped" in chat.stats() for chat in both.chats.values())
    first, second = both.answers()
    assert first == second
    expect(page.get_by_text("Scripted · Stopped")).to_be_visible()
    assert both.composer.input_value() == "my next thought"


def test_a_refusal_is_a_sentence_at_the_composer_and_nothing_typed_is_lost(served: Served, open_page: OpenPage) -> None:
    page = open_page("refused-both")
    both = SideBySide(page, served)
    long = "word " * 20_001
    both.ask(long)
    expect(both.error).to_contain_text("characters long and may have 100,000")
    assert both.composer.input_value() == long
    assert all(chat.messages() == [] for chat in both.chats.values())

    both.ask("fail and count to 9")
    expect(both.error).to_have_text(re.compile(r"Something went wrong on the server \(error \w{8}\)"), timeout=PATIENCE_MS)
    for chat in both.chats.values():
        poll(page, lambda chat=chat: "Something went wrong" in (chat.error() or ""))
    both.ask("go on")
    both.wait("fail and count to 9", "go on")
    expect(both.error).to_be_empty()

    both.ask("count to 60")
    poll(page, both.are_counting)
    both.ask("too soon")
    expect(both.error).to_contain_text("The model is still answering in this conversation")
    assert both.composer.input_value() == "too soon"
    both.wait("fail and count to 9", "go on", "count to 60")
    page.route("**/compare/ask", lambda route: route.abort())
    both.composer.press("Enter")
    expect(both.error).to_contain_text("Portico does not answer. What you typed is kept")
    assert both.composer.input_value() == "too soon"


def test_a_message_that_is_sent_before_the_frontends_are_there_is_shown_by_them(served: Served, open_page: OpenPage) -> None:
    page = open_page("early")
    page.goto(f"{served.url}/compare?c=new", wait_until="commit")
    page.get_by_role("textbox", name="Message").fill("count to 40")
    page.keyboard.press("Enter")
    both = SideBySide.__new__(SideBySide)
    both.page = page
    expect(page).to_have_url(re.compile(r"c=\w{32}"))
    both.chats = {name: driver(name)(both.frame(name)) for name in FRONTENDS}
    both.wait("count to 40")


def test_a_draft_outlives_a_reload_and_the_conversation_is_found_again(served: Served, open_page: OpenPage) -> None:
    page = open_page("reload-both")
    both = SideBySide(page, served)
    both.ask("count to 900")
    poll(page, both.are_counting)
    both.composer.press_sequentially("half a thought")
    page.reload()
    both = SideBySide(page, served, "")  # no address: where one was last
    assert both.composer.input_value() == "half a thought"
    page.locator("#composer").get_by_role("button", name="Stop").click()
    both.wait("count to 900")
    both.composer.press("Enter")
    both.wait("count to 900", "half a thought")
    page.reload()
    assert both.composer.input_value() == ""


def test_two_people_do_not_see_each_others_conversation(served: Served, open_page: OpenPage) -> None:
    """What holds for each frontend by itself holds side by side, too."""
    hers = SideBySide(open_page("ada-both"), served)
    hers.ask("my secret word")
    hers.wait("my secret word")
    conversation = stored_run(served, "my secret word").conversation_id
    bo = open_page("bo-both")
    his = SideBySide(bo, served, f"?c={conversation}")
    expect(his.error).to_contain_text("does not exist, or it is not yours")
    his.ask("hello")
    his.wait("hello")
    for frame in bo.frames:
        assert "secret" not in frame.content()
    hers.page.wait_for_timeout(300)
    assert all([text.strip() for text in chat.messages()] == ["my secret word"] for chat in hers.chats.values())


def test_a_conversation_that_is_deleted_elsewhere_is_left_with_a_sentence(served: Served, open_page: OpenPage) -> None:
    page = open_page("gone-both")
    both = SideBySide(page, served)
    both.ask("hello")
    both.wait("hello")
    elsewhere = driver(FRONTENDS[0]).open(page.context.new_page(), served.url)
    elsewhere.clear()
    both.ask("go on")
    expect(both.error).to_contain_text("does not exist, or it is not yours")
    assert both.composer.input_value() == "go on"
    both.composer.press("Enter")
    both.wait("go on")


def test_by_keyboard_alone(served: Served, open_page: OpenPage) -> None:
    page = open_page("keys-both")
    both = SideBySide(page, served)
    expect(both.composer).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    focused = "document.activeElement.id || document.activeElement.value || document.activeElement.textContent"
    walked: list[str] = []
    while "desktop" not in walked and len(walked) < 20:
        page.keyboard.press("Tab")
        walked.append(str(page.evaluate(focused)).strip())
        if walked[-1] == "phone":
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            walked.append(str(page.evaluate(focused)))
    assert walked[-1] == "desktop", walked
    assert both.frame("gradio").evaluate("innerWidth") == 1280
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("link", name="Skip to the message")).to_be_focused()
    page.keyboard.press("Enter")
    expect(both.composer).to_be_focused()
    page.keyboard.type("count to 900")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("please")
    page.keyboard.press("Enter")
    poll(page, both.are_counting)
    page.keyboard.press("Escape")
    poll(page, lambda: stored_run(served, "count to 900\nplease").reason == "cancelled")


@pytest.mark.parametrize(("width", "height", "scheme"), [(1280, 800, "light"), (320, 640, "dark"), (320, 256, "light")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    served: Served, open_page: OpenPage, width: int, height: int, scheme: str
) -> None:
    page = open_page(f"axe-{width}-{height}", width=width, height=height, color_scheme=scheme, reduced_motion="reduce")
    both = SideBySide(page, served)
    said: list[str] = []
    for message in ("", "markdown", "fail"):
        if message:
            said.append(message)
            both.ask(message)
            both.wait(*said)
        if message == "fail":  # else the state before may be the one that is looked at
            expect(both.error).to_contain_text("Something went wrong")
        assert violations(page) == []
        assert overflow(page) == 0
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, a[href], input, textarea, select")]
        .filter(element => element.checkVisibility({visibilityProperty: true}) && !element.matches(".skip"))
        .map(element => [element.outerHTML.slice(0, 120), element.getBoundingClientRect()])
        .filter(([html, box]) => box.width < 24 || box.height < 24)"""
    )
    assert small == []
    if scheme == "dark":
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 20, 18)"


def test_on_a_phone_tabs_choose_the_frontend_and_the_other_stays_alive(served: Served, open_page: OpenPage) -> None:
    page = open_page("tabs-both", width=390, height=800, has_touch=True)
    both = SideBySide(page, served)
    frames = {name: page.locator(f"section[data-ui={name}] iframe") for name in FRONTENDS}
    both.ask("count to 40")
    both.wait("count to 40")
    for name in FRONTENDS:
        page.get_by_role("radio", name=name.title()).check(force=True)
        expect(frames[name]).to_be_visible()
        for other in set(FRONTENDS) - {name}:
            expect(frames[other]).not_to_be_visible()
    assert both.answers()[0] == both.answers()[1]
    assert both.frame(FRONTENDS[0]).evaluate("innerWidth") == 390


def test_home_leads_here_and_back_with_the_conversation(served: Served, open_page: OpenPage) -> None:
    page = open_page("home-both")
    page.goto(f"{served.url}/?ui={FRONTENDS[0]}&c=new")
    frame = page.locator("#frontend").element_handle().content_frame()
    assert isinstance(frame, Frame)
    chat = driver(FRONTENDS[0])(frame).ready()
    chat.send("hello from home")
    chat.wait_until_done()
    conversation = stored_run(served, "hello from home").conversation_id
    expect(page).to_have_url(re.compile(conversation))
    page.get_by_role("link", name="Side by side").click()
    expect(page).to_have_url(re.compile(f"/compare.*{conversation}"))
    expect(page.get_by_role("link", name="Side by side")).to_have_attribute("aria-current", "page")
    both = SideBySide(page, served, f"?c={conversation}")
    both.wait("hello from home")
    page.get_by_role("link", name=FRONTENDS[1].title()).click()
    expect(page).to_have_url(re.compile(f"ui={FRONTENDS[1]}.*{conversation}"))


def test_whoever_signs_out_elsewhere_is_led_to_sign_in(served: Served, open_page: OpenPage) -> None:
    page = open_page("out-both")
    SideBySide(page, served)
    second = page.context.new_page()
    second.goto(f"{served.url}/compare")
    second.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Portico")).to_be_visible(timeout=PATIENCE_MS)
