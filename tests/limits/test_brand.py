"""Which tokens of the brand arrive, and by which way."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.drivers import Places
from limits.measures import brand
from limits.subjects import SUBJECTS, Effort, Lacks
from tests.limits.chats import CLEAN, found, take
from tests.limits.planted import PageDriver

PLACES: Places = {
    "background": (("body", "background-color"),),
    "surface": (("textarea", "background-color"),),
    "bubble": ((".asked", "background-color"),),
    "border": (("textarea", "border-top-color"),),
    "text": ((".answer p", "color"),),
    "muted": (("textarea::placeholder", "color"),),
    "accent": (("#send", "background-color"),),
    "on_accent": ((".nothing", "color"), ("#send", "color")),
    "font": ((".answer p", "font-family"),),
    "font of code": (("pre", "font-family"),),
    "font size": ((".answer p", "font-size"),),
    "radius of code": (("pre", "border-top-left-radius"),),
    "radius of the bubble": ((".asked", "border-top-left-radius"),),
    "radius of the composer": (("textarea", "border-top-left-radius"),),
    "width of the column": (("main", "content-width"),),
}
ALL_TOKENS = 2 * len(brand.COLOURS) + len(brand.SIZES) + len(brand.FAMILIES) + 3


@pytest.fixture(autouse=True)
def planted_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageDriver, "PLACES", PLACES)


def test_all_of_it_arrives_on_the_clean_page_and_two_radii_by_its_own_stylesheet(browser: Browser, tmp_path: Path) -> None:
    readings = take(brand.take, browser, tmp_path, CLEAN, effort="pushed")
    assert readings["brand"].value == 100
    assert readings["brand"].found == [f"Of {ALL_TOKENS} tokens {ALL_TOKENS - 2} arrive by API, 2 by CSS, 0 not at all."]
    assert readings["brand-api"].value == pytest.approx(100 * (ALL_TOKENS - 2) / ALL_TOKENS)
    by_css = [line for line in readings["brand-api"].found if line.endswith("by CSS")]
    assert by_css == ["radius of the bubble: by CSS", "radius of the composer: by CSS"]


def test_each_ignored_token_is_named_with_what_is_there_instead(browser: Browser, tmp_path: Path) -> None:
    readings = take(brand.take, browser, tmp_path, "colours", effort="pushed")
    assert [line.split(": not at all, ") for line in readings["brand"].found[1:]] == [
        ["bubble, light", "rgb(238, 238, 238) instead of #f8e9e1"],
        ["accent, light", "rgb(0, 0, 255) instead of #a8441f"],
        ["radius of the composer", "4px instead of 26"],
        ["width of the column", "600px instead of 760"],
        ["font", "serif instead of Inter"],
        ["name in the title", "A page instead of Portico"],
        ["bubble, dark", "rgb(238, 238, 238) instead of #3a271e"],
        ["accent, dark", "rgb(0, 0, 255) instead of #ee8a61"],
    ]
    assert readings["brand"].value == pytest.approx(100 * (ALL_TOKENS - 8) / ALL_TOKENS)


@pytest.mark.parametrize(
    ("page", "lacking"),
    [("nofont", "font: not at all"), ("nologo", "logo on the page: not at all"), ("noicon", "icon of the page: not at all")],
)
def test_what_is_named_and_not_there_has_not_arrived(browser: Browser, tmp_path: Path, page: str, lacking: str) -> None:
    readings = take(brand.take, browser, tmp_path, page, effort="pushed")
    assert [lacking in line for line in readings["brand"].found[1:]] == [True], found(readings)


def test_without_our_stylesheet_nobody_says_that_all_came_by_api(browser: Browser, tmp_path: Path) -> None:
    readings = take(brand.take, browser, tmp_path, "nomark", effort="pushed")
    assert (readings["brand-api"].value, readings["brand-api"].why) == (None, "Our stylesheet was not found on the page.")
    assert (readings["brand"].value, readings["brand"].found) == (100, [f"{ALL_TOKENS} of {ALL_TOKENS} tokens arrive."])


def test_a_driver_that_says_of_no_place_lacks_them(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PageDriver, "PLACES", {})
    with pytest.raises(Lacks, match="Nobody has said where its tokens show"):
        take(brand.take, browser, tmp_path, CLEAN, effort="pushed")


def test_each_driver_of_a_frontend_says_where_every_token_shows() -> None:
    wanted = {*brand.COLOURS, *brand.SIZES, *brand.FAMILIES}
    said = {subject.id: set(subject.driver.PLACES) for subject in SUBJECTS}  # type: ignore[attr-defined]
    assert said == {subject.id: set() if subject.effort == "control" else wanted for subject in SUBJECTS}


@pytest.mark.parametrize("effort", ["control", "stock"])
def test_who_sets_nothing_of_it_is_not_asked_how(browser: Browser, tmp_path: Path, effort: Effort) -> None:
    readings = take(brand.take, browser, tmp_path, CLEAN, effort=effort)
    assert readings["brand-api"].value is None
    assert (readings["brand"].value is None) == (effort == "control")
    assert effort != "control" or readings["brand"].why == "The control page has no brand."


@pytest.mark.parametrize(
    ("wanted", "seen", "same"),
    [
        ("#a8441f", "rgb(168, 68, 31)", True),
        ("#a8441f", "rgb(168, 68, 35)", False),
        ("#a8441f", "rgba(168, 68, 31, 0.5)", False),
        ("#a8441f", None, False),
        (12, "12px", True),
        (12, "50%", False),
        ("Inter", '"Inter", sans-serif', True),
        ("Inter", '"Inter Tight", sans-serif', False),
    ],
)  # fmt: skip
def test_values_are_compared_as_they_are_seen(wanted: str | int, seen: str | None, same: bool) -> None:
    assert brand._same(wanted, seen) is same
