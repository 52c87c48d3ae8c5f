"""What axe-core finds wrong with a page, and whether it fits a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

from limits.npm import PACKAGES, get_packages

WCAG_AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")  # axe's tags for WCAG 2.2, levels A and AA


def violations(page: Page, tags: Sequence[str] = ()) -> list[str]:
    """Every rule that the page breaks, with the element that does; of `tags` alone, or all with the best practices."""
    get_packages()
    if not page.evaluate("'axe' in window"):
        page.evaluate((PACKAGES / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], **({"runOnly": list(tags)} if tags else {})}
    found = page.evaluate("(options) => axe.run(document, options)", options)["violations"]
    return [f"{one['id']}: {node['html'][:160]} ({node['failureSummary']})" for one in found for node in one["nodes"]]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window; above 0 it scrolls sideways (WCAG 1.4.10)."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth"))
