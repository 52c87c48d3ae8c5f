"""How soon a person's message and each token of an answer are on the screen, and what that costs the browser."""

from __future__ import annotations

from collections.abc import Iterator

from limits.figures import Reading
from limits.measures import Measure
from limits.measures.answer import Watched, ask, p95
from limits.visit import Visit

TOKENS, PACE = 300, 50  # an answer of 6 s
SLOWDOWN = 4
NO_CONTROL = "The control page gave nothing to compare with in this round."


def take_answer(visit: Visit) -> Iterator[Reading]:
    """One answer at full speed: echo, paint, long frames and CPU."""
    seen = _watch(visit)
    yield _echo("echo", seen)
    yield _paint("paint", seen)
    if seen.why:
        cost = ("long-frames", "long-frames-control", "cpu-1000", "cpu-1000-control")
        yield from (Reading(metric, None, seen.why) for metric in cost)
        return
    for metric, value, least in (("long-frames", seen.long_frames, 1), ("cpu-1000", seen.cpu / TOKENS * 1000, 0)):
        yield Reading(metric, value)
        yield _beside_control(metric, value, visit, least)


def take_slow_answer(visit: Visit) -> Iterator[Reading]:
    """The same on a CPU that Chromium slows down."""
    seen = _watch(visit, SLOWDOWN)
    yield _echo("echo-4x", seen)
    yield _paint("paint-4x", seen)


def _watch(visit: Visit, slowdown: int = 1) -> Watched:
    with visit.page() as page:
        return ask(visit, page, visit.open(page), TOKENS, PACE, slowdown)


def _echo(metric: str, seen: Watched) -> Reading:
    if seen.echo is None:
        return Reading(metric, None, "The message was not seen in the page after Enter.")
    return Reading(metric, seen.echo)


def _paint(metric: str, seen: Watched) -> Reading:
    """What was not shown counts for as long as it was waited for, so that the worst answers are in the median."""
    return Reading(metric, p95(seen.lags) if seen.lags else None, seen.why)


def _beside_control(metric: str, value: float, visit: Visit, least: float) -> Reading:
    """`value` divided by the control page's of the same round, of which `least` is counted at least."""
    control = value if visit.subject.effort == "control" else visit.control.get(metric)
    if control is None or not (control := max(least, control)):
        return Reading(f"{metric}-control", None, NO_CONTROL)
    return Reading(f"{metric}-control", max(least, value) / control)


MEASURES = (
    Measure(
        "An answer", ("echo", "paint", "long-frames", "long-frames-control", "cpu-1000", "cpu-1000-control"), take_answer, runs=5
    ),
    Measure("An answer on a slow CPU", ("echo-4x", "paint-4x"), take_slow_answer, runs=5),
)
