"""The first seconds: web vitals of an empty cache, the time until one can type, and what Lighthouse says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from limits.figures import Reading
from limits.measures import Measure
from limits.measures.lighthouse import BENCHMARK, lighthouse, signed_in_chromium
from limits.metrics import BY_ID
from limits.npm import PACKAGES, get_packages
from limits.visit import Visit

VITALS = {"ttfb": 1000, "fcp": 1000, "lcp": 1000, "cls": 1}  # divided by this: web-vitals tells ms
SETTLE_S, GIVE_UP_S = 1, 10
TYPED = "Can I type?"


def take_vitals(visit: Visit) -> Iterator[Reading]:
    """Open the page once with an empty cache."""
    with visit.page() as page:
        page.goto("about:blank")  # where signing in led may still be busy
        page.context.new_cdp_session(page).send("Network.clearBrowserCache")
        page.add_init_script(_script())
        yield Reading("ready", _ready(visit, page))
        vitals = _settled(page)
    for metric, unit in VITALS.items():
        if metric not in vitals:
            yield Reading(metric, None, f"web-vitals told nothing of it within {GIVE_UP_S} s.")
            continue
        value, element = vitals[metric]["value"] / unit, vitals[metric]["element"]
        yield Reading(metric, value, found=(element,) if element and BY_ID[metric].passes(value) is False else ())


def _script() -> str:
    get_packages()
    library = PACKAGES / "web-vitals" / "dist" / "web-vitals.attribution.iife.js"
    parts = [file.read_text(encoding="utf-8") for file in (library, Path(__file__).with_name("vitals.js"))]
    return f"(() => {{ if (self !== top) return; {parts[0]}\n{parts[1]} }})()"


def _ready(visit: Visit, page: Page) -> float:
    """Seconds until the composer took text, or until the page was ready if it lost that text again."""
    begun = time.perf_counter()
    page.goto(visit.running.url, wait_until="commit")
    driver = visit.subject.driver(page)
    composer = driver.composer
    while time.perf_counter() - begun < GIVE_UP_S * 3:
        if composer.count() == 1 and composer.is_editable():  # asked often: Playwright's own waiting is up to a second late
            break
        time.sleep(0.01)
    composer.fill(TYPED)
    typed = time.perf_counter() - begun
    driver.ready()
    ready, kept = time.perf_counter() - begun, driver.draft() == TYPED
    composer.fill("")  # a draft may be kept for the next visit
    return typed if kept else ready


def _settled(page: Page) -> dict[str, Any]:
    """The vitals once they stand still."""
    deadline, before, since = time.monotonic() + GIVE_UP_S, None, time.monotonic()
    while time.monotonic() < deadline:
        now: dict[str, Any] = page.evaluate("window.porticoVitals")
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > SETTLE_S and now.keys() >= VITALS.keys():
            break
        page.wait_for_timeout(100)
    return before or {}


def take_lighthouse(visit: Visit) -> Iterator[Reading]:
    """Mobile and desktop, from one Chromium: Lighthouse empties its cache in between."""
    with signed_in_chromium(visit) as port:
        mobile = lighthouse(visit, port, "mobile")
        yield _score("lighthouse-mobile", mobile)
        yield Reading("tbt-mobile", mobile["audits"]["total-blocking-time"]["numericValue"], found=_long_tasks(mobile))
        yield _score("lighthouse-desktop", lighthouse(visit, port, "desktop"))


def _score(metric: str, result: dict[str, Any]) -> Reading:
    """The score of 100, with what it is made of and how fast Lighthouse found the machine."""
    score = result["categories"]["performance"]["score"] * 100
    weights = {one["id"]: one["weight"] for one in result["categories"]["performance"]["auditRefs"]}
    parts = [one for name, one in result["audits"].items() if weights.get(name)]
    found = [f"{one['title']}: {one.get('displayValue') or 'none'}" for one in parts]
    index = f"{BENCHMARK}{result['environment']['benchmarkIndex']:.0f}"
    return Reading(metric, score, found=(index, *result["runWarnings"], *found))


def _long_tasks(result: dict[str, Any]) -> tuple[str, ...]:
    tasks = result["audits"].get("long-tasks", {}).get("details", {}).get("items", [])
    return tuple(f"{one['duration']:.0f} ms in {one['url'].partition('?')[0]}" for one in tasks)


MEASURES = (
    Measure("The first seconds", ("ready", *VITALS), take_vitals, runs=5),
    Measure("Lighthouse", ("lighthouse-mobile", "tbt-mobile", "lighthouse-desktop"), take_lighthouse, runs=3),
)
