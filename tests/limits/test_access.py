"""What axe finds and what it does not, on pages with one fault each."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.axe import violations
from limits.measures import access
from tests.limits.chats import ALL, CLEAN, bad, found, take


@pytest.mark.parametrize(
    ("page", "faults", "what"),
    [
        (CLEAN, {}, ""),
        ("contrast", {"axe-empty": 1, "axe-answered": 1}, "color-contrast"),
        ("silent", {"live-region": 0}, "No live region said anything while “table” was answered."),
        ("raw", {"live-region": 0}, "p.unseen says raw Markdown"),
        ("chatty", {"live-region": 0}, "p.unseen spoke 2"),  # at each of twenty tokens
        ("aside", {"live-region": 0}, "spoke amid the answer to “count to 20 at 4”, and none as it began or ended"),
        ("focus", {"focus-kept": 0}, "After the answer the focus is on <body"),
        ("nameless", {"axe-empty": 1, "nameless": 1, "axe-answered": 1}, '<button id="send"><svg'),
        (ALL, {"axe-empty": 4, "focus-kept": 0, "live-region": 0, "nameless": 1, "axe-answered": 4}, "target-size"),
    ],
)
def test_what_axe_finds_and_misses(browser: Browser, tmp_path: Path, page: str, faults: dict[str, float], what: str) -> None:
    readings = take(access.take_scans, browser, tmp_path, page)
    assert bad(readings) == faults
    assert what in found(readings)
    unpictured = [metric for metric in faults.keys() & {"focus-kept", "live-region"} if not readings[metric].picture]
    assert unpictured == []
    assert {one.picture for one in readings.values() if one.picture} == {file.name for file in tmp_path.glob("*.png")}


@pytest.mark.parametrize(
    ("page", "faults", "what"),
    [
        (CLEAN, {}, ""),  # it fades, which is no motion
        ("moving", {"motion": 1}, "turn on div.wait: transform"),
        ("contrast", {"axe-dark": 1}, "background color: #161412"),
    ],
)
def test_dark_and_calm(browser: Browser, tmp_path: Path, page: str, faults: dict[str, float], what: str) -> None:
    readings = take(access.take_calm, browser, tmp_path, page)
    assert bad(readings) == faults
    assert what in found(readings)


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (CLEAN, ""),
        ("noesc", ""),  # Tab reaches the stop button
        ("nostop", "Neither Esc nor a control that Tab reaches (80 times) stops the answer."),
        ("nokeys", "80 times Tab did not reach the composer."),
    ],
)
def test_by_keyboard_alone(browser: Browser, tmp_path: Path, page: str, fault: str) -> None:
    reading = take(access.take_keyboard, browser, tmp_path, page)["keyboard"]
    assert (reading.value, "".join(reading.found)) == (not fault, fault)
    assert not fault or (tmp_path / reading.picture).exists()


def test_the_best_practices_are_left_out_where_wcag_is_asked_for(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>A page</title><p>Text outside a landmark")
    assert [one.split(":")[0] for one in violations(page)]
    assert violations(page, access.WCAG_AA) == []
    page.close()
