"""Asks a subject for an answer of numbered tokens, and watches in the page when each is shown."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import CDPSession, Page

from limits.subjects import Driver
from limits.visit import Visit

WATCH = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
GRACE_S = 45  # after the last token should have come: UX.md saw 11 s at a quarter of the speed


@dataclass(frozen=True, slots=True)
class Watched:
    """What the page showed. `echo` in ms from Enter, None if the message was never seen; `lags` in ms, one a token, empty if the
    question did not reach the model; `cpu` in seconds of the page's main thread, less what watching costs.

    `why` says in a sentence that not all of the answer was shown, else "". A token that was not shown lags until the watch was
    given up: at least so much.
    """

    echo: float | None
    lags: list[float]
    long_frames: int
    cpu: float
    why: str


def ask(visit: Visit, page: Page, driver: Driver, count: int, pace: int, slowdown: int = 1) -> Watched:
    """Ask on `page` for `count` tokens, `pace` a second, on a CPU `slowdown` times slower; back when the last is shown."""
    mark = f"mark-{secrets.token_hex(4)}"
    chromium = page.context.new_cdp_session(page)
    chromium.send("Performance.enable")
    rest(page, chromium)
    limit_s = count / pace + GRACE_S
    try:
        chromium.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        driver.composer.fill(f"count to {count} at {pace} {mark}")
        page.evaluate(WATCH, [mark, driver.ANSWER, count, limit_s * 1000])
        watching = _cost_of_watching(page, chromium)
        before = thread_time(chromium)
        driver.composer.press("Enter")
        seen = page.evaluate("window.porticoLab")
        given_up = time.time() * 1000
        cpu = thread_time(chromium) - before - watching * seen["watched"] / 1000
    finally:
        chromium.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        chromium.detach()
    written = visit.tokens.times(mark)
    lags = [seen["times"].get(str(number), given_up) - at * 1000 for number, at in written.items()]
    shown, why = len(seen["times"].keys() & {str(number) for number in written}), ""
    if not seen["entered"]:
        why = "Enter did not reach the page."
    elif not written:
        why = "The question did not reach the model."
    elif shown < count:
        why = f"Only {shown} of {count} tokens were shown within {limit_s:.0f} s."
    return Watched(seen["echo"], lags, seen["longFrames"], max(cpu, 0.0), why)


def _cost_of_watching(page: Page, chromium: CDPSession) -> float:
    """CPU seconds of the page's main thread that a second of watching takes: a second with it, less a second without."""
    spent = []
    for act in (lambda: page.wait_for_timeout(1000), lambda: page.evaluate("porticoIdle(1000)")):
        before = thread_time(chromium)
        act()
        spent.append(thread_time(chromium) - before)
    return max(spent[1] - spent[0], 0.0)


def p95(values: list[float]) -> float:
    """The value that 95 % do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def thread_time(chromium: CDPSession) -> float:
    """CPU seconds that the page's main thread has used so far; its task durations would count what other processes took."""
    metrics = {one["name"]: one["value"] for one in chromium.send("Performance.getMetrics")["metrics"]}
    return float(metrics["ThreadTime"])


def rest(page: Page, chromium: CDPSession, limit_s: float = 8) -> None:
    """Wait until the page's main thread has little to do (a tenth of the time), so that loading is not counted as answering."""
    deadline, before = time.monotonic() + limit_s, thread_time(chromium)
    while time.monotonic() < deadline:
        page.wait_for_timeout(250)
        before, last = thread_time(chromium), before
        if before - last < 0.025:
            return
