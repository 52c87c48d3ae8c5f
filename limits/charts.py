"""Charts as static SVG: a bar for each subject with its spread, and the threshold as a line. Letters keep the page's own size."""

from __future__ import annotations

from html import escape

from limits.facts import About, Facts
from limits.metrics import Metric
from limits.wording import quantity, spread, threshold, title, whole

CHARTED = (
    "resilience", "axe-answered", "targets-24", "brand", "lcp", "lighthouse-mobile", "tbt-mobile", "echo-4x", "paint", "paint-4x",
    "long-frames-control", "cpu-1000-control", "wire-load", "wire-300", "wire-growth", "memory-session", "lines",
)  # fmt: skip
TOP_PX, ROW_PX, BAR_PX = 26, 42, 12


def bars(facts: Facts, metric: Metric) -> str:
    """One metric's chart, or nothing where no subject has a value. Widths are in percent, so that letters keep their size."""
    figures = {one.id: facts.figure(metric, one) for one in facts.subjects}
    highs = [figure.high for figure in figures.values() if figure and figure.high is not None]
    if not highs:
        return ""
    end = whole(metric.unit) or max([*highs, (metric.good or 0) * 1.2, 1e-9]) * 1.02
    rows = "".join(_row(facts, metric, one, TOP_PX + number * ROW_PX, end) for number, one in enumerate(facts.subjects))
    height = TOP_PX + len(facts.subjects) * ROW_PX
    line = _threshold(metric, end, len(facts.subjects)) if metric.good is not None else ""
    return (
        f'<svg class="bars" width="100%" height="{height}" role="img" aria-label="{escape(_alternative(facts, metric))}">'
        f"{rows}{line}</svg>"
    )


def meter(good: int, judged: int) -> str:
    """A small bar for `good` of `judged`; beside it stand the numbers, so it is hidden from screen readers."""
    share = 100 * good / judged if judged else 0
    return (
        '<svg class="meter" width="100%" height="6" aria-hidden="true"><rect class="rest" width="100%" height="6" rx="3"/>'
        f'<rect class="part" width="{share:.1f}%" height="6" rx="3"/></svg>'
    )


def _row(facts: Facts, metric: Metric, subject: About, y: int, end: float) -> str:
    figure = facts.figure(metric, subject)
    label = f'<text x="0" y="{y + 15}" class="who">{escape(subject.title)}</text>'
    if figure is None or figure.median is None or figure.low is None or figure.high is None:
        return label + f'<text x="100%" y="{y + 15}" class="none" text-anchor="end">could not be taken</text>'
    mark = {True: ' <tspan class="good">✓</tspan>', False: ' <tspan class="bad">✕</tspan>', None: ""}[figure.good]
    value = f'<text x="100%" y="{y + 15}" class="value" text-anchor="end">{quantity(figure.median, metric.unit)}{mark}</text>'
    width, low, high = (min(100 * max(at, 0) / end, 100) for at in (figure.median, figure.low, figure.high))
    bar = f'<rect class="bar {subject.effort}" y="{y + 22}" width="{max(width, 0.4):.2f}%" height="{BAR_PX}" rx="3"/>'
    middle = y + 22 + BAR_PX / 2
    whisker = _line("spread", low, high, middle, middle) if high - low > 0.5 else ""
    return label + value + bar + whisker


def _line(name: str, left: float, right: float, top: float, bottom: float) -> str:
    """A line with a halo, so that it is seen on a bar of any colour; `left` and `right` are in percent, the others in px."""
    ends = f'x1="{left:.2f}%" x2="{right:.2f}%" y1="{top:g}" y2="{bottom:g}"'
    return f'<line class="halo" {ends}/><line class="{name}" {ends}/>'


def _threshold(metric: Metric, end: float, rows: int) -> str:
    """A mark through each bar, which leaves the words above the bars alone, and its meaning above them all."""
    at = 100 * (metric.good or 0) / end
    anchor = "start" if at < 35 else "end" if at > 65 else "middle"
    tops = (TOP_PX + number * ROW_PX + 18 for number in range(rows))
    marks = "".join(_line("threshold", at, at, y, y + BAR_PX + 8) for y in tops)
    return (
        f"{_line('threshold', at, at, 16, 22)}{marks}"
        f'<text x="{at:.2f}%" y="12" class="limit" text-anchor="{anchor}">good: {threshold(metric)}</text>'
    )


def _alternative(facts: Facts, metric: Metric) -> str:
    """The chart in words."""
    said = []
    for one in facts.subjects:
        figure = facts.figure(metric, one)
        if figure is None or figure.median is None:
            said.append(f"{one.title} could not be taken")
            continue
        between = f" ({spread(figure, metric.unit)})" if spread(figure, metric.unit) else ""
        judged = {True: ", good", False: ", not good", None: ""}[figure.good]
        said.append(f"{one.title} {quantity(figure.median, metric.unit)}{between}{judged}")
    good = f" Good is {threshold(metric)}." if metric.good is not None else ""
    return f"{title(metric)}: {'; '.join(said)}.{good}"
