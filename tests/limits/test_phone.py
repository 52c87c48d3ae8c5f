"""What a narrow window breaks, and how large the targets are, on pages with one fault each."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.measures import phone
from limits.measures.phone import Target, crowded, too_small
from tests.limits.chats import ALL, CLEAN, bad, found, take


def box(left: float, top: float, width: float, height: float) -> Target:
    return Target("button", left, top, left + width, top + height)


@pytest.mark.parametrize(
    ("targets", "small"),
    [
        ([box(0, 0, 24, 24), box(24, 0, 24, 24)], 0),  # as large as asked for
        ([box(0, 0, 16, 16)], 0),  # alone
        ([box(0, 0, 16, 16), box(24, 0, 16, 16)], 0),  # the circles touch and do not meet
        ([box(0, 0, 16, 16), box(20, 0, 16, 16)], 2),
        ([box(0, 0, 16, 16), box(18, 0, 40, 40)], 1),  # the circle meets the large one's box
        ([box(0, 0, 16, 16), box(20, 0, 40, 40)], 0),
        ([box(0, 0, 100, 12), box(0, 12, 100, 12)], 2),  # two lines of a list
    ],
)
def test_spacing_makes_up_for_size_as_the_rule_allows(targets: list[Target], small: int) -> None:
    assert len(crowded(targets)) == small


def test_a_target_is_as_large_as_its_shorter_side() -> None:
    assert too_small([box(0, 0, 200, 40), box(0, 0, 44, 44)], 44) == [box(0, 0, 200, 40)]


@pytest.mark.parametrize(
    ("page", "faults", "what"),
    [
        (CLEAN, 0, ""),
        ("overflow", 1, "The page scrolls sideways by"),
        ("sideways", 1, "main#log"),  # an inner box scrolls the text itself
        ("clipped", 1, "cuts off the text “A page whose"),
        ("ellipsis", 1, "cuts off the text “A page whose"),
        ("halved", 1, "cuts off the text “A page whose"),
        ("broken", 16, "td breaks the word “Thessaloniki”"),
        ("away", 0, ""),  # a panel beside the window, put away
        ("overflow&clipped&broken", 18, "cuts off the text"),  # each of them
    ],
)
def test_what_breaks_at_320_px(browser: Browser, tmp_path: Path, page: str, faults: int, what: str) -> None:
    readings = take(phone.take_narrow, browser, tmp_path, page)
    assert readings["reflow"].value == faults
    assert what in found(readings)


@pytest.mark.parametrize(
    ("page", "faults", "what"),
    [
        (CLEAN, {}, ""),
        ("tiny", {"targets-24": 50}, "button.small “More”: 16 x 16 px"),
        ("font14", {"input-font": 14}, ""),
        ("unsafe", {"safe-areas": 0}, "The composer ends 8 px above the bottom"),
        ("nofit", {"safe-areas": 0}, "not set to viewport-fit=cover"),
        (ALL, {"targets-24": 50, "input-font": 14, "safe-areas": 0}, "16 x 16"),
    ],
)
def test_what_a_phone_meets(browser: Browser, tmp_path: Path, page: str, faults: dict[str, float], what: str) -> None:
    readings = take(phone.take_phone, browser, tmp_path, page)
    assert bad(readings) == faults
    assert what in found(readings)
    assert readings["targets-44"].value == 50  # two of four, in each: what is spaced is not large
    assert ("safe-areas" in faults) == bool(readings["safe-areas"].picture)
