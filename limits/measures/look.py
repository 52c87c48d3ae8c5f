"""What the measures of a still page share: their scripts, a conversation that is new, and a page that has come to rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from limits.subjects import Driver
from limits.visit import Visit

HERE = Path(__file__).parent
REST_S = 3.0
QUICK = "table at 1000"  # what is said at any pace looks the same in the end


def ask(page: Page, script: str, argument: Any = None) -> Any:
    """What the function in `script`.js answers; it may use those of look.js."""
    shared, own = ((HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("look", script))
    return page.evaluate(f"(argument) => {{\n{shared}\nreturn (\n{own}\n)(argument);\n}}", argument)


def open_new(visit: Visit, page: Page) -> Driver:
    """The subject's page with no message in it: a frontend that opens what was talked of last is asked for a new one."""
    driver: Any = visit.open(page)
    if driver.messages() and hasattr(driver, "new_chat"):
        driver.new_chat()
        if hasattr(driver, "close_settings"):
            driver.close_settings()
        driver.ready()
    return driver  # type: ignore[no-any-return]


def answered(visit: Visit, page: Page, question: str = QUICK) -> Driver:
    """A new conversation in which `question` was answered, at rest."""
    driver = open_new(visit, page)
    driver.send(question)
    driver.wait_until_done()
    rest(page)
    return driver


def rest(page: Page) -> None:
    """Wait until fonts are there and no animation with an end runs, for a while at most: text that fades in has no contrast."""
    page.evaluate(
        """(ms) => Promise.race([
            new Promise((done) => setTimeout(done, ms)),
            document.fonts.ready.then(() => new Promise((done) => {
                const finite = (one) => one.effect?.getComputedTiming().endTime !== Infinity && one.playState === "running";
                const look = (calm) => {
                    const next = document.getAnimations().some(finite) ? 0 : calm + 1;
                    return next > 12 ? done() : setTimeout(look, 25, next);
                };
                look(0);
            })),
        ])""",
        REST_S * 1000,
    )
