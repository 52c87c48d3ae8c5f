"""How figures, thresholds and lists read in the report."""

from __future__ import annotations

import re
from collections.abc import Sequence

from limits.figures import Figure
from limits.metrics import Metric

SPACE = "\N{NO-BREAK SPACE}"
WHOLE = {"%": 100.0, "of 100": 100.0}  # where a unit ends; "of 8" ends at its own number

# What a metric is called in the middle of a sentence, where its title leans on the row above it or is too long.
NAMES = {
    "ttfb": "time to first byte", "fcp": "first paint", "lcp": "largest paint", "cls": "layout shift",
    "ready": "time until one can type", "lighthouse-mobile": "Lighthouse, mobile", "lighthouse-desktop": "Lighthouse, desktop",
    "tbt-mobile": "blocking time, mobile", "echo": "own message visible", "echo-4x": "own message visible on a slow CPU",
    "paint": "token to screen", "paint-4x": "token to screen on a slow CPU",
    "long-frames": "long frames", "long-frames-control": "long frames beside the control page", "cpu-1000": "browser CPU",
    "cpu-1000-control": "browser CPU beside the control page",
    "wire-load": "bytes to open the page", "wire-js": "bytes of scripts", "wire-requests": "requests to open the page",
    "wire-300": "bytes of an answer", "wire-growth": "growth of long answers", "reflow": "faults at 320 px",
    "targets-24": "targets of 24 px", "targets-44": "targets of 44 px", "input-font": "font size of the composer",
    "safe-areas": "safe areas", "axe-empty": "axe on the empty page", "axe-answered": "axe on an answer",
    "axe-dark": "axe in the dark", "nameless": "controls without a name", "live-region": "telling a screen reader",
    "focus-kept": "keeping the focus", "keyboard": "use by keyboard alone", "motion": "motion where less is asked for",
    "resilience": "what it survives", "brand": "brand tokens that arrive", "brand-api": "brand tokens by its own settings",
    "memory-session": "server memory for a session", "cpu-turn": "server CPU for a turn", "edit": "edit to screen",
    "lines": "lines of the frontend",
}  # fmt: skip


def name(metric: Metric) -> str:
    return NAMES.get(metric.id, metric.title)


def title(metric: Metric) -> str:
    """A metric's name by itself, where its title leans on the row above."""
    words = name(metric) if metric.id in NAMES else metric.title
    return words if words.startswith("axe") else words[0].upper() + words[1:]


def number(value: float) -> str:
    """Three significant digits, whole thousands with commas."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def quantity(value: float, unit: str) -> str:
    """A value with its unit, yes or no for what passes or fails."""
    if unit == "pass":
        return "yes" if value >= 1 else "no" if value <= 0 else "at times"
    if unit in ("", "n"):
        return number(value)
    if unit.startswith("x"):
        return number(value) + "×" + unit[1:].replace(" ", SPACE)
    return f"{number(value)}{SPACE}{unit}".replace(" ", SPACE)


def unit(metric: Metric) -> str:
    """What the figure is, as the beginning of a sentence."""
    known = {
        "pass": "Yes or no", "": "A number", "n": "How many", "x": "A ratio", "x control": "Times the control page’s",
        "s": "Seconds", "ms": "Milliseconds", "KB": "Kilobytes", "MB": "Megabytes", "px": "Pixels", "%": "Per cent",
    }  # fmt: skip
    return known.get(metric.unit) or (f"Out {metric.unit}" if metric.unit.startswith("of ") else f"In {metric.unit}")


def threshold(metric: Metric) -> str:
    """From where a figure is good; empty where nothing is judged."""
    if metric.good is None:
        return ""
    if metric.unit == "pass":
        return "yes"
    if metric.better == "less":
        return "none" if metric.good == 0 else f"at most {quantity(metric.good, metric.unit)}"
    least = quantity(metric.good, metric.unit)
    return least if metric.good == whole(metric.unit) else f"at least {least}"


def whole(unit: str) -> float | None:
    """The most that a figure of this unit can be, None where there is no end."""
    last = unit.rpartition("of ")[2]
    return WHOLE.get(unit) or (float(last) if unit.startswith("of ") and last.isdigit() else None)


def spread(figure: Figure, unit: str) -> str:
    """The lowest and highest of several runs; empty where they are alike."""
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return ""
    if unit == "pass":
        return f"in {sum(value >= 1 for value in figure.values)} of {len(figure.values)} runs"
    low, high = number(figure.low), number(figure.high)
    return f"{low}–{high}" if low != high else ""


def listed(words: Sequence[str], most: int = 5) -> str:
    """Words as a list in a sentence, cut after `most` of them (never to leave a single one out)."""
    shown = list(words) if len(words) <= most + 1 else [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def short(sentence: str) -> str:
    """What comes before the first colon or comma: a step's title says more after it."""
    return re.split(r"[:,;.]", sentence, maxsplit=1)[0]


def count(amount: int, word: str) -> str:
    """`1 step`, `2 steps`, `3 misses`."""
    return f"{amount:,} {word}" + ("" if amount == 1 else "es" if word.endswith("s") else "s")
