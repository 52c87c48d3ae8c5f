"""Every page of sign-in for everyone: axe finds nothing, in light and dark, and nothing scrolls sideways at 320 px."""

from __future__ import annotations

from pathlib import Path

import pytest

from limits.axe import overflow, violations
from tests.browser.every_page import every_page
from tests.browser.house import House
from tests.browser.person import People, Person


@pytest.mark.timeout(400)  # 40 pages, twice each
def test_no_page_of_sign_in_has_an_axe_violation_or_scrolls_sideways(
    house: House, people: People, grace: Person, tmp_path: Path
) -> None:
    found: dict[str, list[str]] = {}
    names = set()
    for name, page in every_page(house, people, grace, "hal", tmp_path):
        assert name not in names
        names.add(name)
        for width, scheme in ((1280, "light"), (320, "dark")):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            wrong = violations(page) + ([f"{over} px wider than the window"] if (over := overflow(page)) > 0 else [])
            if wrong:
                found[f"{name} at {width} px, {scheme}"] = wrong
    assert found == {}
    assert len(names) > 30
