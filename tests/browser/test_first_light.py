"""What a newcomer does, in a real Chromium, with each frontend."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page, expect
from playwright.sync_api import Error as PlaywrightError
from sqlalchemy import select

from core.database import open_database
from core.settings import FRONTENDS
from core.store import Run, Store, runs
from limits.proxy import Proxy
from tests.browser.conftest import OpenPage, Seen, driver
from tests.support.clock import wait_until
from tests.support.serve import Served


def inside(page: Page) -> Any:
    """The driver of the frontend that the home page holds."""
    name = re.search(r"ui=(\w+)", page.url)
    frame = page.locator("#frontend").element_handle().content_frame()
    assert isinstance(frame, Frame)
    return driver(name[1] if name else FRONTENDS[0])(frame)


def poll(page: Page, condition: Callable[[], object], seconds: float = 20) -> None:
    """Poll with the browser's own clock running, which a plain sleep would hold up; a page may load anew meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(PlaywrightError):
            if condition():
                return
        assert time.monotonic() < deadline, "waited in vain"
        page.wait_for_timeout(20)


def stored_run(served: Served, message: str) -> Run:
    """The newest run that asked `message`, as the database has it."""
    database = open_database(f"sqlite:///{served.data / 'portico.db'}")
    with database.begin() as connection:
        rows = connection.execute(select(runs.c.id, runs.c["values"]).order_by(runs.c.created_at.desc())).all()
    run = Store(database).run(next(row.id for row in rows if row.values["message"] == message))
    database.dispose()
    assert run is not None
    return run


def test_from_the_link_to_an_answer_and_on_in_the_other_frontend(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(user="")
    if frontend != FRONTENDS[0]:
        page.goto(served.url)
        lines = len(served.lines)
        page.get_by_role("button", name="Print a new link").click()
        wait_until(lambda: len(served.lines) > lines)
    page.goto(served.link)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_title("Portico")
    page.get_by_role("link", name=frontend.title()).click()
    expect(page.locator("nav a[aria-current=page]")).to_have_text(frontend.title())
    chat = inside(page)
    chat.ready()
    chat.new_chat()

    # It grows before one's eyes.
    message = f"count to 60, {frontend}"
    chat.send(message)
    lengths: set[int] = set()
    poll(page, lambda: lengths.add(len(chat.last_answer())) or len(lengths - {0}) >= 4)

    # Stop: the engine stops, and what there is stays.
    chat.stop()
    chat.wait_until_done()
    wait_until(lambda: not stored_run(served, message).live)
    run = stored_run(served, message)
    assert run.reason == "cancelled"
    partial = chat.last_answer().split()
    assert partial == run.text.split()
    assert 1 < len(partial) < 60, "at this pace it had under two seconds for it"
    assert "Stopped" in chat.stats()

    # A reload finds it.
    expect(page).to_have_url(re.compile(run.conversation_id))
    page.reload()
    chat = inside(page)
    chat.ready()
    poll(page, lambda: chat.last_answer().split() == partial)

    # The other frontend goes on with it.
    other = next(name for name in FRONTENDS if name != frontend)
    page.get_by_role("link", name=other.title()).click()
    expect(page).to_have_url(re.compile(f"ui={other}.*{run.conversation_id}"))
    chat = inside(page)
    chat.ready()
    poll(page, lambda: chat.last_answer().split() == partial)
    chat.send("and now hello")
    chat.wait_until_done()
    assert chat.last_answer() == "You said: and now hello"
    assert "tok/s" in chat.stats()
    assert [text.strip() for text in chat.messages()] == [message, "and now hello"]


def test_a_run_goes_on_when_the_page_closes_and_is_there_on_return(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"leaver-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("count to 80")
    poll(page, lambda: len(chat.last_answer()) > 5)
    page.context.close()
    length = len(stored_run(served, "count to 80").text)
    wait_until(lambda: len(stored_run(served, "count to 80").text) > length, what="the run to go on")
    page = open_page(f"leaver-{frontend}")
    chat = driver(frontend).open(page, served.url)  # no address of the conversation: who comes back goes on
    poll(page, lambda: chat.last_answer().startswith("1 2 3"))
    chat.wait_until_done()
    assert chat.last_answer().split() == [str(number) for number in range(1, 81)]


def test_two_people_do_not_see_each_others(served: Served, open_page: OpenPage, frontend: str) -> None:
    """CHECKLIST 53: two people in two browsers, in each frontend."""
    ada, bo = open_page(f"ada-{frontend}"), open_page(f"bo-{frontend}")
    hers = driver(frontend).open(ada, served.url, "new")
    hers.send("my secret word")
    hers.wait_until_done()
    conversation = re.search(r"c=(\w+)", ada.url)
    assert conversation
    his = driver(frontend).open(bo, served.url)
    assert his.messages() == []
    his = driver(frontend).open(bo, served.url, conversation[1])
    poll(bo, lambda: his.error())
    assert "does not exist, or it is not yours" in his.error()
    assert "secret" not in bo.content()
    his.send("hello")  # the composer lives
    his.wait_until_done()
    assert his.last_answer() == "You said: hello"
    assert "secret" not in bo.content()


def test_a_second_tab_finds_the_running_answer(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"tabs-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("count to 70")
    poll(page, lambda: len(chat.last_answer()) > 5)
    second = page.context.new_page()
    other = driver(frontend).open(second, served.url)
    poll(second, lambda: len(other.last_answer()) > 5)
    for tab in (chat, other):
        tab.wait_until_done()
        assert tab.last_answer().split()[-1] == "70"


def test_an_error_is_a_sentence_with_retry_and_the_composer_lives(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"error-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("fail and count to 9")
    poll(page, lambda: chat.error())
    assert re.search(r"Something went wrong on the server \(error \w{8}\)", chat.error())
    assert "Traceback" not in page.content()
    assert "scripted runner was told" not in page.content()
    assert chat.last_answer().split()[:3] == ["1", "2", "3"], "what came before the error is kept"
    chat.retry()
    poll(page, lambda: chat.error() and not chat.is_answering())
    chat.send("go on")
    chat.wait_until_done()
    assert chat.last_answer() == "You said: go on"


def test_regenerate_and_clear(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"again-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("first")
    chat.wait_until_done()
    chat.regenerate()
    chat.wait_until_done()
    assert chat.last_answer() == "You said: first"
    assert [text.strip() for text in chat.messages()] == ["first"]
    chat.clear()
    poll(page, lambda: chat.messages() == [])
    page.goto(f"{served.url}/?ui={frontend}")
    again = inside(page)
    again.ready()
    assert again.messages() == []


def test_the_side_panels_settings_reach_the_run_and_come_back_with_it(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"settings-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.open_settings()
    chat.set_field("System prompt", "Be brief.")
    chat.set_field("Maximum answer length", 5)
    chat.set_field("Seed", 7)
    chat.send(f"count to 50 for {frontend}")
    chat.wait_until_done()
    assert "cut at the maximum length" in chat.stats()
    run = stored_run(served, f"count to 50 for {frontend}")
    assert (run.values["system"], run.values["max_tokens"], run.seed) == ("Be brief.", 5, 7)
    page.reload()
    chat = driver(frontend)(page).ready()
    chat.open_settings()
    poll(page, lambda: chat.field("System prompt") == "Be brief.")
    assert float(chat.field("Maximum answer length")) == 5


def test_by_keyboard_alone(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"keys-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    for _ in range(40):
        if chat.composer.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.type("count to 90")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("please")
    assert chat.draft() == "count to 90\nplease"
    page.keyboard.press("Enter")
    poll(page, lambda: len(chat.last_answer()) > 5)
    page.keyboard.press("Escape")
    chat.wait_until_done()
    assert "Stopped" in chat.stats()
    assert stored_run(served, "count to 90\nplease").reason == "cancelled"


def test_one_press_leads_past_the_side_panel_to_the_message(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"skip-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the message")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(chat.composer).to_be_focused()
    assert page.url.endswith("?c=new"), "the address still names the conversation"


def test_back_leads_to_the_conversation_before(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"back-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("first conversation")
    chat.wait_until_done()
    chat.new_chat()
    chat.send("second conversation")
    chat.wait_until_done()
    chat.open_conversation("first conversation")
    poll(page, lambda: [text.strip() for text in chat.messages()] == ["first conversation"])
    page.go_back()
    poll(page, lambda: [text.strip() for text in chat.messages()] == ["second conversation"])
    assert len(chat.conversations()) == 2


def test_a_message_that_is_refused_stays_in_the_composer(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"refused-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    long = "word " * 20_001
    chat.composer.fill(long)
    chat.composer.press("Enter")
    poll(page, lambda: chat.error())
    assert "characters long and may have 100,000" in chat.error()
    assert len(chat.draft().strip()) == len(long.strip())
    chat.composer.fill("short")
    chat.composer.press("Enter")
    poll(page, lambda: chat.last_answer() == "You said: short")


def test_nothing_is_lost_of_who_is_quick(served: Served, open_page: OpenPage, frontend: str) -> None:
    """What is pressed at the very moment at which something else ends."""
    page = open_page(f"quick-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    for number in range(8):
        chat.send(f"message {number}")
        chat.wait_until_done()
        assert chat.last_answer() == f"You said: message {number}"
        chat.new_chat()


def test_a_draft_outlives_a_reload(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"reload-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.composer.press_sequentially("half a thought")
    page.reload()
    chat = driver(frontend)(page).ready()
    poll(page, lambda: chat.draft() == "half a thought")
    chat.composer.press("Enter")
    poll(page, lambda: chat.last_answer() == "You said: half a thought")
    page.reload()
    chat = driver(frontend)(page).ready()
    page.wait_for_timeout(300)
    assert chat.draft() == "", "what was sent is no draft any more"


@pytest.mark.parametrize(("label", "value"), [("Maximum answer length", 0), ("Maximum answer length", 999999), ("Seed", -5)])
def test_a_setting_out_of_bounds_is_told_and_nothing_is_sent(
    served: Served, open_page: OpenPage, frontend: str, label: str, value: int
) -> None:
    page = open_page(f"bounds-{frontend}-{label}-{value}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.open_settings()
    chat.set_field(label, value)
    chat.composer.fill("hello")
    chat.composer.press("Enter")
    poll(page, lambda: chat.error())
    assert f"{label} must be between" in chat.error()
    assert chat.draft() == "hello"
    assert chat.messages() == []


def test_a_draft_is_kept_while_an_answer_streams(served: Served, open_page: OpenPage, frontend: str) -> None:
    page = open_page(f"draft-{frontend}")
    chat = driver(frontend).open(page, served.url, "new")
    chat.send("count to 60")
    poll(page, lambda: len(chat.last_answer()) > 5)
    chat.composer.fill("my next question")
    chat.wait_until_done()
    assert chat.draft() == "my next question"
    chat.composer.press("Enter")
    poll(page, lambda: "You said: my next question" in chat.last_answer())


def test_an_answer_cannot_run_anything_or_reach_out(served: Served, open_page: OpenPage, frontend: str, seen: Seen) -> None:
    page = open_page(f"html-{frontend}")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    chat = driver(frontend).open(page, served.url, "new")
    for hostile in (
        "<img src=x onerror=alert(1)><script>alert(2)</script>![x](https://evil.example/x.png)[y](javascript:alert(3))",
        "`a\n# ![x](https://evil.example/y.png) `",
    ):
        chat.send(hostile)
        chat.wait_until_done()
    page.wait_for_timeout(300)
    assert not dialogs
    frames = [frame for frame in page.frames if frame.locator("img[onerror], a[href^='javascript']").count()]
    assert not frames


@pytest.mark.parametrize("width", [320, 390])
def test_it_fits_a_phone(served: Served, open_page: OpenPage, frontend: str, width: int) -> None:
    page = open_page(f"phone-{frontend}", width=width, height=640, has_touch=True)
    page.goto(f"{served.url}/?ui={frontend}&c=new")
    chat = inside(page)
    chat.ready()
    for message in ("markdown", "x" * 300):
        chat.send(message)
        chat.wait_until_done()
    frame = page.frames[1]
    for one in (page, frame):
        assert one.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    box = chat.composer.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 640
    assert float(chat.composer.evaluate("element => parseFloat(getComputedStyle(element).fontSize)")) >= 16
    for one in (page, frame):
        small = one.evaluate(
            """() => [...document.querySelectorAll("button, a[href], input:not([type=hidden]), [role=button]")]
            .filter(element => element.checkVisibility({visibilityProperty: true, opacityProperty: true}))
            .map(element => [element, element.getBoundingClientRect()])
            .filter(([element, box]) => box.width > 1 && box.height > 1 && (box.width < 24 || box.height < 24)
              && box.right > 0 && box.left < innerWidth && !(element.closest("label")?.getBoundingClientRect().height >= 24)
              && !(element.matches("a") && element.closest("p, li")))
            .map(([element, box]) => `${element.outerHTML.slice(0, 120)} ${box.width}x${box.height}`)"""
        )
        assert small == []
        nameless = one.evaluate(
            """() => [...document.querySelectorAll("button, a[href]")]
            .filter(element => element.checkVisibility() && !element.innerText.trim() && !element.getAttribute("aria-label")
              && !element.title && !element.getAttribute("aria-labelledby"))
            .map(element => element.outerHTML.slice(0, 160))"""
        )
        assert nameless == []


def test_the_pages_break_no_rule_of_their_own(served: Served, open_page: OpenPage, frontend: str, seen: Seen) -> None:
    """No violation of the content security policy, no uncaught error, from the empty page to an answer."""
    page = open_page(f"clean-{frontend}")
    page.goto(f"{served.url}/?ui={frontend}&c=new")
    chat = inside(page)
    chat.ready()
    chat.send("markdown")
    chat.wait_until_done()
    assert seen.complaints == []


def test_signing_out_ends_what_is_open(served: Served, open_page: OpenPage, frontend: str) -> None:
    """CHECKLIST 36: an open page of each frontend, in a real browser."""
    page = open_page(f"out-{frontend}")
    ended: list[str] = []
    page.on("websocket", lambda socket: socket.on("close", lambda closed: ended.append(closed.url)))
    page.on("requestfailed", lambda request: ended.append(request.url))
    page.goto(f"{served.url}/?ui={frontend}&c=new")
    inside(page).ready()
    page.wait_for_timeout(200)
    ended.clear()
    second = page.context.new_page()
    second.goto(f"{served.url}/?ui={frontend}")
    second.get_by_role("button", name="Sign out").click()
    expect(second.get_by_role("heading", name="Sign in to Portico")).to_be_visible()
    poll(page, lambda: any("_stcore/stream" in url or "heartbeat" in url for url in ended))
    expect(page.get_by_role("heading", name="Sign in to Portico")).to_be_visible()  # the first tab leads there by itself
    expect(page.locator("#frontend")).to_have_count(0)


def test_a_signal_ends_the_server_while_both_frontends_stream(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Served(tmp_path_factory.mktemp("ends")) as ending:
        ending.wait_ready()
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": ending.url} for name, value in ending.session().items()])
        for name in FRONTENDS:
            page = context.new_page()
            chat = driver(name).open(page, ending.url, "new")
            chat.send(f"count to 900, {name}")
        poll(page, lambda: len(stored_run(ending, f"count to 900, {FRONTENDS[0]}").text) > 10)
        started = time.monotonic()
        ending.stop(seconds=10)
        assert time.monotonic() - started < 5
        for name in FRONTENDS:
            assert not stored_run(ending, f"count to 900, {name}").live, "its end is written"
        run = stored_run(ending, f"count to 900, {FRONTENDS[0]}")
        assert run.text.startswith("1 2 3")
        assert "The server stopped" in (run.error or ""), "nobody pressed Stop"
        assert "Traceback" not in ending.terminal
        context.close()


def test_the_waiting_page_turns_into_the_frontend_by_itself(browser: Browser, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    with Served(tmp_path / "fresh", "--ui", "streamlit", "--hold", str(go_on)) as fresh:
        context = browser.new_context()
        page = context.new_page()
        page.goto(fresh.link)
        page.get_by_role("button", name="Sign in").click()
        expect(page.frame_locator("#frontend").get_by_role("heading", name="Portico is starting")).to_be_visible()
        go_on.touch()
        chat = inside(page) if "ui=" in page.url else driver("streamlit")(page.frames[1])
        chat.ready()
        context.close()


def test_a_cut_connection_finds_the_conversation_and_the_running_answer_again(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, frontend: str
) -> None:
    with Proxy() as proxy, Served(tmp_path_factory.mktemp("cut"), "--seen-as", str(proxy.port), "--ui", frontend) as cut_off:
        proxy.target = cut_off.listening_port
        cut_off.wait_ready()
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": cut_off.url} for name, value in cut_off.session().items()])
        page = context.new_page()
        chat = driver(frontend).open(page, cut_off.url, "new")
        chat.send("hello")
        chat.wait_until_done()
        chat.send("count to 150")
        poll(page, lambda: chat.last_answer().startswith("1 2 3 4 5"))
        chat.composer.fill("a draft")
        proxy.cut()
        page.wait_for_timeout(1500)
        assert [text.strip() for text in chat.messages()] == ["hello", "count to 150"], "what was said stays on the screen"
        proxy.restore()
        poll(page, lambda: chat.last_answer().split()[-1:] == ["150"], seconds=40)
        assert [text.strip() for text in chat.messages()] == ["hello", "count to 150"]
        assert chat.draft() == "a draft"
        chat.composer.press("Enter")
        poll(page, lambda: chat.last_answer() == "You said: a draft")
        context.close()


def test_the_server_asked_no_outside_host(served: Served) -> None:
    """After all the tests above: every connection that the process made is told in its terminal by an audit hook."""
    assert "listening on" in served.terminal, "the hook stands"
    assert "OUTSIDE HOST" not in served.terminal
