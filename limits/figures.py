"""What was read: one Reading a figure and run, and what the report makes of several."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from limits.metrics import BY_ID


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of one run. `value` None: it could not be taken, and `why` says why in a sentence.

    `found` are the elements or events that make it bad, a line each; `picture` a file of the report's pictures.
    """

    metric: str
    value: float | None
    why: str = ""
    found: Sequence[str] = field(default_factory=tuple)
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """The readings of one metric and subject: the median with its spread, and whether it is good.

    `good` is None where there is no threshold, or where half of the readings or more could not be taken.
    """

    metric: str
    subject: str
    values: Sequence[float]
    median: float | None
    low: float | None
    high: float | None
    good: bool | None
    why: str = ""
    found: Sequence[str] = field(default_factory=tuple)
    picture: str = ""


def summarize(subject: str, readings: Sequence[Reading]) -> Figure:
    """The Figure of the readings of one metric; what could not be taken is told beside what could."""
    metric = BY_ID[readings[0].metric]
    values = [float(one.value) for one in readings if one.value is not None]
    worst = max(readings, key=lambda one: (len(one.found), bool(one.picture), bool(one.why)))  # what is shown is of one run
    why, picture = worst.why or next((one.why for one in readings if one.why), ""), worst.picture
    if not values:
        return Figure(metric.id, subject, (), None, None, None, None, why, worst.found, picture)
    median = statistics.median(values)
    good = metric.passes(median) if 2 * len(values) > len(readings) else None
    return Figure(metric.id, subject, values, median, min(values), max(values), good, why, worst.found, picture)
