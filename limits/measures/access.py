"""For everybody: what axe-core finds and what it does not: names, a live region, the focus, the keyboard, less motion."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Page

from limits.axe import WCAG_AA, violations
from limits.figures import Reading
from limits.measures import Measure
from limits.measures.look import QUICK, ask, open_new, rest
from limits.subjects import Driver
from limits.visit import Visit

CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "listbox", "slider", "spinbutton", "checkbox", "radio", "switch", "tab",
    "menuitem", "menuitemcheckbox", "menuitemradio", "option", "treeitem",
}  # fmt: skip
TABS = 60
SETTLE_S = 2.0
FROM_THE_TOP = """() => {  // the next Tab starts before all that is on the page
    const start = document.createElement("span");
    start.tabIndex = -1;
    document.body.prepend(start);
    start.focus();
    start.remove();
}"""
TWENTY = "count to 20 at 10"  # slow enough to be looked at while it comes
LONG = "count to 900 at 50"  # still going on when sixty controls were passed


def take_scans(visit: Visit) -> Iterator[Reading]:
    """By light: axe on the empty page, then what an answer of 20 tokens and one with a table tell, then axe again."""
    with visit.page(color_scheme="light") as page:
        driver = open_new(visit, page)
        rest(page)
        yield _axe("axe-empty", page)
        ask(page, "live")
        told, nameless = {}, nameless_controls(page)  # in each state of the page, the most of each
        for question in (TWENTY, "table"):
            page.evaluate("limitsHeard.length = 0")
            driver.send(question)
            nameless |= nameless_controls(page)  # while it answers: the stop button
            driver.wait_until_done()
            poll(page, lambda: page.evaluate("limitsHeard.length > 0"))
            told[question] = page.evaluate("limitsHeard.slice()")
            if question == TWENTY:
                yield _focus_kept(page, driver)
        yield _live_region(told)
        nameless |= nameless_controls(page)
        yield Reading("nameless", nameless.total(), found=sorted(nameless.elements()))
        rest(page)
        yield _axe("axe-answered", page)


def take_calm(visit: Visit) -> Iterator[Reading]:
    """In the dark and with less motion asked for: what moves while an answer comes, then axe."""
    with visit.page(color_scheme="dark", reduced_motion="reduce") as page:
        driver = open_new(visit, page)
        ask(page, "motion")
        driver.send("count to 60")
        driver.wait_until_done()
        moved = page.evaluate("clearInterval(limitsMotionClock), limitsMotion")
        found = [f"{name}: {changes}" for name, changes in moved.items()]
        yield Reading("motion", len(found), found=found)
        driver.send(QUICK)
        driver.wait_until_done()
        rest(page)
        yield _axe("axe-dark", page)


def take_keyboard(visit: Visit) -> Iterator[Reading]:
    """Ask, stop and ask again with keys alone; the first step that fails ends it."""
    with visit.page() as page:
        driver = open_new(visit, page)
        page.evaluate(FROM_THE_TOP)
        for step in (_ask_by_keys, _stop_by_keys, _ask_again_by_keys):
            if fault := step(page, driver):
                yield Reading("keyboard", False, found=[fault], picture=visit.picture(page, "keyboard"))
                return
        yield Reading("keyboard", True)


def poll(page: Page, condition: Callable[[], object], seconds: float = SETTLE_S) -> bool:
    """Whether `condition` becomes true in time; the page's own clock runs meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(30)
    return True


def nameless_controls(page: Page) -> Counter[str]:
    """The controls that the focus can reach and the accessibility tree has no name for, as HTML."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("DOM.enable")
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        return Counter(_html(session, node) for node in nodes if _is_nameless(node))
    finally:
        session.detach()


def _is_nameless(node: dict[str, Any]) -> bool:
    if node.get("ignored") or node.get("role", {}).get("value", "").lower() not in CONTROLS or "backendDOMNodeId" not in node:
        return False
    can_focus = any(each["name"] == "focusable" and each["value"].get("value") for each in node.get("properties", ()))
    return can_focus and not str(node.get("name", {}).get("value", "")).strip()


def _html(session: Any, node: dict[str, Any]) -> str:
    return str(session.send("DOM.getOuterHTML", {"backendNodeId": node["backendDOMNodeId"]})["outerHTML"])[:160]


def _axe(metric: str, page: Page) -> Reading:
    found = [" ".join(one.split()) for one in violations(page, WCAG_AA)]
    return Reading(metric, len(found), found=found)


def _has_focus(driver: Driver) -> bool:
    return bool(driver.composer.evaluate("(box) => box === box.getRootNode().activeElement"))


def _focus_kept(page: Page, driver: Driver) -> Reading:
    """After a message that was sent from the composer with Enter and answered, one can go on typing."""
    if poll(page, lambda: _has_focus(driver)):
        return Reading("focus-kept", True)
    return Reading("focus-kept", False, found=[f"After the answer the focus is on {_focused(page)}."])


def _live_region(told: dict[str, list[dict[str, str]]]) -> Reading:
    found = [f"No live region said anything while “{question}” was answered." for question, heard in told.items() if not heard]
    raw = {each["who"]: each["raw"] for heard in told.values() for each in heard if each["raw"]}
    found += [f"{who.split(' “')[0]} says raw Markdown: “{text}”." for who, text in raw.items()]
    return Reading("live-region", not found, found=found)


def _focused(page: Page) -> str:
    """The element that has the focus, as its tag with its attributes."""
    html = page.evaluate("""() => {
        let here = document.activeElement;
        while (here?.shadowRoot?.activeElement) here = here.shadowRoot.activeElement;
        return here ? here.cloneNode(here.localName === "button").outerHTML : "nothing";
    }""")
    return " ".join(html.split())[:400]


def _tab_to(page: Page, there: Callable[[], object]) -> bool:
    for _ in range(TABS):
        if there():
            return True
        page.keyboard.press("Tab")
    return bool(there())


def _ask_by_keys(page: Page, driver: Driver, question: str = LONG) -> str:
    if not _tab_to(page, lambda: _has_focus(driver)):
        return f"{TABS} times Tab did not reach the composer."
    before = len(driver.messages())
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    if not poll(page, lambda: len(driver.messages()) > before and question in driver.messages()[-1], 10):
        return f"Enter did not send “{question}”."
    return ""


def _stop_by_keys(page: Page, driver: Driver) -> str:
    if not poll(page, driver.is_answering, 10):
        return "No answer was seen to come."
    page.keyboard.press("Escape")
    if poll(page, lambda: not driver.is_answering()):
        return ""
    # one that says so in its text, its label, its class or its test id
    if not _tab_to(page, lambda: re.search(r"^<(button|a|\w+ .*role=.button).*(stop|cancel)", _focused(page), re.I | re.S)):
        return f"Neither Esc nor a control that Tab reaches ({TABS} times) stops the answer."
    page.keyboard.press("Enter")
    return "" if poll(page, lambda: not driver.is_answering()) else "The stop button does nothing when Enter is pressed on it."


def _ask_again_by_keys(page: Page, driver: Driver) -> str:
    if fault := _ask_by_keys(page, driver, "echo once more"):
        return f"After the stop: {fault}"
    return "" if poll(page, lambda: "said: once more" in driver.last_answer(), 15) else "The second question was not answered."


MEASURES = (
    Measure("axe and what it misses", ("axe-empty", "focus-kept", "live-region", "nameless", "axe-answered"), take_scans),
    Measure("dark and calm", ("motion", "axe-dark"), take_calm),
    Measure("keyboard", ("keyboard",), take_keyboard),
)
