"""Where the keyboard is: what has the focus, and what Tab reaches. It is looked for in open shadow roots, too."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page

TABS = 80  # presses, before something counts as out of reach


def has_focus(element: Locator) -> bool:
    return bool(element.evaluate("(box) => box === box.getRootNode().activeElement"))


def focused(page: Page, length: int = 400) -> str:
    """The element that has the focus, as its tag with its attributes; a button with what is in it."""
    html = page.evaluate("""() => {
        let here = document.activeElement;
        while (here?.shadowRoot?.activeElement) here = here.shadowRoot.activeElement;
        return here ? here.cloneNode(here.localName === "button").outerHTML : "nothing";
    }""")
    return " ".join(html.split())[:length]


def to_the_top(page: Page) -> None:
    """The next Tab starts before all that is on the page."""
    page.evaluate("""() => {
        const start = document.createElement("span");
        start.tabIndex = -1;
        document.body.prepend(start);
        start.focus();
        start.remove();
    }""")


def tab_to(page: Page, there: Callable[[], object]) -> bool:
    """Press Tab until `there()` is true; whether that came within TABS presses."""
    for _ in range(TABS):
        if there():
            return True
        page.keyboard.press("Tab")
    return bool(there())
