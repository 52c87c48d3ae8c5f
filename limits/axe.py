"""What axe-core finds wrong with a page, and whether it fits a narrow screen."""

from __future__ import annotations

from playwright.sync_api import Page

from limits.npm import PACKAGES, get_packages


def violations(page: Page) -> list[str]:
    """Every rule that the page breaks, best practices too, with the element that does."""
    get_packages()
    if not page.evaluate("'axe' in window"):
        page.evaluate((PACKAGES / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html'][:160]} ({node['failureSummary']})" for one in found for node in one["nodes"]]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window; above 0 it scrolls sideways (WCAG 1.4.10)."""
    return int(page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth"))
