"""For everybody: what axe-core finds and what it does not: names, a live region, the focus, the keyboard, less motion."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from limits.axe import WCAG_AA, violations
from limits.figures import Reading
from limits.focus import TABS, focused, has_focus, tab_to, to_the_top
from limits.measures import Measure
from limits.measures.look import QUICK, ask, open_new, rest
from limits.subjects import Driver
from limits.visit import Visit, poll

CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "listbox", "slider", "spinbutton", "checkbox", "radio", "switch", "tab",
    "menuitem", "menuitemcheckbox", "menuitemradio", "option", "treeitem",
}  # fmt: skip
SETTLE_S = 2.0
NEAR_S = 1.5  # what is said so soon after a question was shown, or not earlier before its answer's end, tells of these
OFTEN = 10  # who hears so many pieces while one answer comes is told nothing
TWENTY = "count to 20 at 4"  # slow enough to be looked at while it comes, and to have a middle
LONG = "count to 900 at 50"  # still going on when TABS controls were passed


@dataclass(frozen=True, slots=True)
class Heard:
    """What live regions said of one question, and whether something of it came as the answer began or ended."""

    said: list[dict[str, Any]]
    announced: bool


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
            sent = time.time()
            nameless |= nameless_controls(page)  # while it answers: the stop button
            driver.wait_until_done()
            told[question] = _hear(page, sent, time.time())
            if question == TWENTY:
                yield _focus_kept(visit, page, driver)
        yield _live_region(visit, page, told)
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
        to_the_top(page)
        for step in (_ask_by_keys, _stop_by_keys, _ask_again_by_keys):
            if fault := step(page, driver):
                yield Reading("keyboard", False, found=[fault], picture=visit.proof(page, "keyboard"))
                return
        yield Reading("keyboard", True)


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


def _focus_kept(visit: Visit, page: Page, driver: Driver) -> Reading:
    """After a message that was sent from the composer with Enter and answered, one can go on typing."""
    if poll(page, lambda: has_focus(driver.composer), SETTLE_S):
        return Reading("focus-kept", True)
    found = [f"After the answer the focus is on {focused(page)}."]
    return Reading("focus-kept", False, found=found, picture=visit.proof(page, "focus kept"))


def _hear(page: Page, sent: float, ended: float) -> Heard:
    """What was said of the question that was shown at `sent` and answered by `ended`, both in seconds since 1970."""

    def announced() -> bool:
        times = page.evaluate("limitsHeard.map((one) => one.at / 1000)")
        return any(at < sent + NEAR_S or at > ended - NEAR_S for at in times)

    in_time = poll(page, announced, SETTLE_S)
    return Heard(page.evaluate("limitsHeard.slice()"), in_time)


def _live_region(visit: Visit, page: Page, told: dict[str, Heard]) -> Reading:
    found = [fault for question, heard in told.items() for fault in _unheard(question, heard)]
    raw = {each["who"]: each["raw"] for heard in told.values() for each in heard.said if each["raw"]}
    found += [f"{_who(who)} says raw Markdown: “{text}”." for who, text in raw.items()]
    return Reading("live-region", not found, found=found, picture=visit.proof(page, "live region") if found else "")


def _unheard(question: str, heard: Heard) -> Iterator[str]:
    """Why who listens does not learn that the answer to `question` begins or ends."""
    if not heard.said:
        yield f"No live region said anything while “{question}” was answered."
    elif not heard.announced:
        yield f"A live region spoke amid the answer to “{question}”, and none as it began or ended."
    pieces = Counter(_who(each["who"]) for each in heard.said)
    yield from (f"{who} spoke {times} times while “{question}” was answered." for who, times in pieces.items() if times >= OFTEN)


def _who(named: str) -> str:
    """An element's name without the text that is in it."""
    return named.split(" “")[0]


def _ask_by_keys(page: Page, driver: Driver, question: str = LONG) -> str:
    if not tab_to(page, lambda: has_focus(driver.composer)):
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
    if poll(page, lambda: not driver.is_answering(), SETTLE_S):
        return ""
    # one that says so in its text, its label, its class or its test id
    if not tab_to(page, lambda: re.search(r"^<(button|a|\w+ .*role=.button).*(stop|cancel)", focused(page), re.I | re.S)):
        return f"Neither Esc nor a control that Tab reaches ({TABS} times) stops the answer."
    page.keyboard.press("Enter")
    if poll(page, lambda: not driver.is_answering(), SETTLE_S):
        return ""
    return "The stop button does nothing when Enter is pressed on it."


def _ask_again_by_keys(page: Page, driver: Driver) -> str:
    if fault := _ask_by_keys(page, driver, "echo once more"):
        return f"After the stop: {fault}"
    return "" if poll(page, lambda: "said: once more" in driver.last_answer(), 15) else "The second question was not answered."


MEASURES = (
    Measure("axe and what it misses", ("axe-empty", "focus-kept", "live-region", "nameless", "axe-answered"), take_scans),
    Measure("dark and calm", ("motion", "axe-dark"), take_calm),
    Measure("keyboard", ("keyboard",), take_keyboard),
)
