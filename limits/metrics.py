"""What the lab measures: each figure with its unit, the threshold from which it is good, and whose threshold that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CORE_VITALS, WEB_VITALS = "Core Web Vitals", "web-vitals"
WCAG = "WCAG 2.2"
LIGHTHOUSE = "Lighthouse"
OURS = "ours"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of the report. `good` is the threshold, None where there is none and the figure is only told.

    `how` is one sentence for the reader. A unit of "pass" takes True and False for values.
    """

    id: str
    group: str
    title: str
    unit: str
    good: float | None
    source: str
    how: str
    better: Literal["less", "more"] = "less"

    def passes(self, value: float) -> bool | None:
        """Whether `value` is good; None where nothing is judged."""
        if self.good is None:
            return None
        return value <= self.good if self.better == "less" else value >= self.good


def _pass(id: str, group: str, title: str, source: str, how: str) -> Metric:
    return Metric(id, group, title, "pass", 1, source, how, "more")


_FIRST, _STREAM, _WIRE, _PHONE, _ACCESS, _LOOK, _COST = (
    "First seconds",
    "While it answers",
    "On the wire",
    "On a phone",
    "For everybody",
    "The brand",
    "What it costs",
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "ttfb", _FIRST, "Time to first byte", "s", 0.8, WEB_VITALS, "From the request to the page's first byte, by web-vitals."
    ),
    Metric(
        "fcp", _FIRST, "First contentful paint", "s", 1.8, WEB_VITALS, "When the first text or picture is drawn, by web-vitals."
    ),
    Metric("lcp", _FIRST, "Largest contentful paint", "s", 2.5, CORE_VITALS, "When the largest piece is drawn, by web-vitals."),
    Metric("cls", _FIRST, "Layout shift", "", 0.1, CORE_VITALS, "How far things jump while the page loads, by web-vitals."),
    Metric("ready", _FIRST, "Until one can type", "s", None, OURS, "From opening the address to a composer that takes text."),
    Metric(
        "lighthouse-mobile",
        _FIRST,
        "Lighthouse performance, mobile",
        "of 100",
        90,
        LIGHTHOUSE,
        "Lighthouse's score on a throttled phone.",
        "more",
    ),
    Metric(
        "lighthouse-desktop",
        _FIRST,
        "Lighthouse performance, desktop",
        "of 100",
        90,
        LIGHTHOUSE,
        "Lighthouse's score on a desktop.",
        "more",
    ),
    Metric(
        "tbt-mobile",
        _FIRST,
        "Total blocking time, mobile",
        "ms",
        200,
        LIGHTHOUSE,
        "How long the page could not react while it loaded, by Lighthouse.",
    ),
    Metric(
        "echo",
        _STREAM,
        "Enter to own message visible",
        "ms",
        200,
        "Interaction to Next Paint",
        "From pressing Enter to the frame that shows the message.",
    ),
    Metric(
        "echo-4x",
        _STREAM,
        "The same on a CPU a quarter as fast",
        "ms",
        200,
        "Interaction to Next Paint",
        "With Chromium's CPU throttle at 4.",
    ),
    Metric(
        "paint",
        _STREAM,
        "Token to screen, p95",
        "ms",
        100,
        OURS,
        "300 numbered tokens, 50 a second: from the model's clock to the end of the frame that shows each.",
    ),
    Metric("paint-4x", _STREAM, "The same on a CPU a quarter as fast", "ms", 500, OURS, "With Chromium's CPU throttle at 4."),
    Metric("long-frames", _STREAM, "Long frames", "n", None, OURS, "Frames over 50 ms while 300 tokens come."),
    Metric(
        "long-frames-control",
        _STREAM,
        "Long frames, beside the control page",
        "x control",
        2,
        OURS,
        "The frontend's divided by the control page's of the same round (at least 1).",
    ),
    Metric(
        "cpu-1000",
        _STREAM,
        "Browser CPU for 1,000 tokens",
        "s",
        None,
        OURS,
        "The page's main thread while 300 tokens come and a second after, less what watching costs.",
    ),
    Metric(
        "cpu-1000-control",
        _STREAM,
        "Browser CPU, beside the control page",
        "x control",
        2,
        OURS,
        "The frontend's divided by the control page's of the same round.",
    ),
    Metric(
        "wire-load", _WIRE, "To open the page", "KB", 500, OURS, "Bytes on the wire with an empty cache, through our compression."
    ),
    Metric("wire-js", _WIRE, "of them scripts", "KB", None, OURS, "Bytes of JavaScript on the wire."),
    Metric("wire-requests", _WIRE, "Requests to open the page", "n", None, OURS, "Requests until one can type."),
    Metric(
        "wire-300",
        _WIRE,
        "An answer of 300 tokens",
        "KB",
        None,
        OURS,
        "Bytes received, both streams and websockets, while it comes.",
    ),
    Metric(
        "wire-growth",
        _WIRE,
        "Bytes a token, 1,500 tokens against 300",
        "x",
        1.25,
        OURS,
        "Both at 150 tokens a second. 1 is linear: a long answer costs as much a token as a short one.",
    ),
    Metric(
        "reflow",
        _PHONE,
        "Faults at 320 px",
        "n",
        0,
        WCAG + " 1.4.10",
        "A page that scrolls sideways, clipped texts and words broken inside, on a conversation with a wide table and code.",
    ),
    Metric(
        "targets-24",
        _PHONE,
        "Targets of at least 24 px",
        "%",
        100,
        WCAG + " 2.5.8",
        "Of what can be pressed at 390 px: both sides at least 24 px, or spaced as the rule allows.",
        "more",
    ),
    Metric(
        "targets-44",
        _PHONE,
        "Targets of at least 44 px",
        "%",
        None,
        WCAG + " 2.5.5",
        "Of what can be pressed at 390 px: both sides at least 44 px.",
        "more",
    ),
    Metric("input-font", _PHONE, "Font size of the composer", "px", 16, "iOS zooms in below it", "The computed style.", "more"),
    _pass(
        "safe-areas",
        _PHONE,
        "Safe areas",
        "CSS env()",
        "The viewport is set to cover, and what lies at the bottom keeps clear of the safe area.",
    ),
    Metric("axe-empty", _ACCESS, "axe: the empty page", "n", 0, WCAG + " A and AA", "Violations that axe-core finds."),
    Metric("axe-answered", _ACCESS, "axe: an answered question", "n", 0, WCAG + " A and AA", "Violations that axe-core finds."),
    Metric("axe-dark", _ACCESS, "axe: the same in the dark", "n", 0, WCAG + " A and AA", "Violations that axe-core finds."),
    Metric(
        "nameless",
        _ACCESS,
        "Controls without a name",
        "n",
        0,
        WCAG + " 4.1.2",
        "Buttons, links and inputs to which the accessibility tree gives no name.",
    ),
    _pass(
        "live-region",
        _ACCESS,
        "A screen reader is told",
        WCAG + " 4.1.3",
        "A live region speaks as an answer begins or ends, not ten times in all, without raw Markdown. No scanner sees its lack.",
    ),
    _pass(
        "focus-kept", _ACCESS, "Focus stays", WCAG + " 2.4.3", "The composer that had the focus before the answer has it after."
    ),
    _pass(
        "keyboard",
        _ACCESS,
        "By keyboard alone",
        WCAG + " 2.1.1",
        "Tab to the composer, ask, stop and ask again without a pointer.",
    ),
    Metric(
        "motion",
        _ACCESS,
        "Motion where less is asked for",
        "n",
        0,
        WCAG + " 2.3.3",
        "What getAnimations() tells of while an answer comes, with prefers-reduced-motion; not colour, opacity or blur alone.",
    ),
    Metric(
        "resilience",
        _ACCESS,
        "What it survives",
        "of 8",
        8,
        OURS,
        "Cut, restart, reload, second tab, error, stop, draft and scroll, each a step of the scenario.",
        "more",
    ),
    Metric(
        "brand",
        _LOOK,
        "Brand tokens that arrive",
        "%",
        None,
        OURS,
        "Colours, font, radius, spacing and name of core/brand.py by computed style, light and dark, those a library has too.",
        "more",
    ),
    Metric(
        "brand-api",
        _LOOK,
        "of them by the frontend's own settings",
        "%",
        None,
        OURS,
        "What its theming takes; the rest is CSS on its classes.",
        "more",
    ),
    Metric(
        "memory-session",
        _COST,
        "Memory of the server for a session more",
        "MB",
        None,
        OURS,
        "Resident memory with ten open sessions less that with one, divided by nine.",
    ),
    Metric("cpu-turn", _COST, "CPU of the server for a turn", "s", None, OURS, "An answer of 300 tokens, without the model."),
    Metric(
        "edit",
        _COST,
        "From an edit to the screen",
        "s",
        None,
        OURS,
        "A word in the source of the page is changed; until a browser shows it, a reload or a restart included.",
    ),
    Metric(
        "lines",
        _COST,
        "Lines of the frontend",
        "n",
        None,
        OURS,
        "Lines of code that are no comment and not blank: Python, CSS and JavaScript.",
    ),
)

BY_ID = {metric.id: metric for metric in METRICS}
