"""The small chats of tests/limits/pages: clean.html has no fault, faults.html?NAME has one, and faults.html has many at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from core import brand
from limits.figures import Reading
from limits.metrics import BY_ID
from limits.visit import Visit
from tests.limits.planted import PAGES, visit_to

STATIC = Path(__file__).parents[2] / "portal" / "static"
CLEAN, ALL = "clean.html", "faults.html"


def write_pages(folder: Path) -> Path:
    """The pages with what they take from the brand."""
    shutil.copytree(PAGES, folder, dirs_exist_ok=True)
    for name in (brand.FONT_FILE, "favicon.svg"):
        shutil.copy(STATIC / name, folder)
    font = f"@font-face{{font-family:{brand.FONT};src:url({brand.FONT_FILE});font-weight:100 900}}"
    (folder / "brand.css").write_text(brand.css_variables() + font, encoding="utf-8")
    return folder


def take(
    measure: Callable[[Visit], Iterable[Reading]], browser: Browser, folder: Path, page: str, **options: Any
) -> dict[str, Reading]:
    """What `measure` reads on a page of ours, by metric; a page without .html is a fault's name."""
    name = page if page.endswith(".html") else f"{ALL}?{page}"
    with visit_to(name, browser, folder, folder=write_pages(folder), **options) as visit:
        return {reading.metric: reading for reading in measure(visit)}


def bad(readings: dict[str, Reading]) -> dict[str, float | None]:
    """The figures that are not good."""
    values = {metric: reading.value for metric, reading in readings.items()}
    return {metric: value for metric, value in values.items() if value is None or BY_ID[metric].passes(value) is False}


def found(readings: dict[str, Reading]) -> str:
    """All that the report would list as found, a line each."""
    return "\n".join(line for reading in readings.values() for line in reading.found)
