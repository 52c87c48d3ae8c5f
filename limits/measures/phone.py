"""On a phone: what a narrow window breaks, how large the targets are, the composer's font, the safe area."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from limits.figures import Reading
from limits.measures import Measure
from limits.measures.look import answered, ask
from limits.subjects import Driver
from limits.visit import NARROW, PHONE, Visit

BAR_PX = 34  # what the home indicator of a phone without a button takes of the bottom
ROUNDING_PX = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """Something to press; its box in CSS pixels."""

    name: str
    left: float
    top: float
    right: float
    bottom: float

    def is_at_least(self, side: float) -> bool:
        return min(self.right - self.left, self.bottom - self.top) >= side - ROUNDING_PX

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def __str__(self) -> str:
        return f"{self.name}: {self.right - self.left:.0f} x {self.bottom - self.top:.0f} px"


def too_small(targets: Sequence[Target], side: float) -> list[Target]:
    return [each for each in targets if not each.is_at_least(side)]


def crowded(targets: Sequence[Target], side: float = 24) -> list[Target]:
    """Those that WCAG 2.5.8 does not let pass: too small, and a circle of `side` px around meets another target or its circle."""
    small = too_small(targets, side)
    return [one for one in small if any(_meets(one, other, other in small, side / 2) for other in targets if other is not one)]


def _meets(one: Target, other: Target, is_small: bool, radius: float) -> bool:
    x, y = one.centre
    gap = math.hypot(max(other.left - x, 0, x - other.right), max(other.top - y, 0, y - other.bottom))
    return gap < radius - ROUNDING_PX or (is_small and math.dist(one.centre, other.centre) < 2 * radius - ROUNDING_PX)


def take_narrow(visit: Visit) -> Iterator[Reading]:
    with visit.page(NARROW) as page:
        answered(visit, page)
        faults = ask(page, "reflow")
        picture = visit.proof(page, "reflow") if faults else ""
        yield Reading("reflow", len(faults), found=faults, picture=picture)


def take_phone(visit: Visit) -> Iterator[Reading]:
    with visit.page(PHONE, is_mobile=True, has_touch=True) as page:
        driver = answered(visit, page)
        targets = [Target(**each) for each in ask(page, "targets")]
        yield _share("targets-24", targets, crowded(targets))
        yield _share("targets-44", targets, too_small(targets, 44))
        yield Reading("input-font", driver.composer.evaluate("(box) => parseFloat(getComputedStyle(box).fontSize)"))
        yield _safe_areas(visit, page, driver)


def _share(metric: str, targets: Sequence[Target], small: Sequence[Target]) -> Reading:
    if not targets:
        return Reading(metric, None, "Nothing on the page can be pressed.")
    return Reading(metric, 100 * (1 - len(small) / len(targets)), found=[str(each) for each in small])


def _safe_areas(visit: Visit, page: Page, driver: Driver) -> Reading:
    """The viewport covers the whole screen, and the composer ends above the last pixels when a phone says they are taken."""
    faults = []
    viewport = page.evaluate("document.querySelector('meta[name=viewport]')?.content ?? ''")
    if "viewport-fit=cover" not in viewport.replace(" ", ""):
        faults.append("The viewport is not set to viewport-fit=cover, so env(safe-area-inset-bottom) is always 0.")
    try:
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setSafeAreaInsetsOverride", {"insets": {"bottom": BAR_PX, "bottomMax": BAR_PX}})
    except PlaywrightError:
        return Reading("safe-areas", None, "This Chromium cannot emulate a safe area.")
    page.wait_for_timeout(500)  # it is laid out anew, perhaps with a transition; what has not moved by then does not
    room = driver.composer.evaluate("(box) => innerHeight - box.getBoundingClientRect().bottom")
    if room < BAR_PX - ROUNDING_PX:
        faults.append(f"The composer ends {room:.0f} px above the bottom, where a phone's bar takes {BAR_PX} px.")
    return Reading("safe-areas", not faults, found=faults, picture=visit.proof(page, "safe areas") if faults else "")


MEASURES = (
    Measure("reflow", ("reflow",), take_narrow),
    Measure("targets and phone", ("targets-24", "targets-44", "input-font", "safe-areas"), take_phone),
)
