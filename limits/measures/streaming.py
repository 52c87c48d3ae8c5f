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
        yield from (Reading(metric, None, seen.why) for metric in ("paint-control", "long-frames", "cpu-1000"))
        return
    yield _beside_control("paint-control", visit, "paint", p95(seen.lags))
    yield _beside_control("long-frames", visit, "long-frames-raw", seen.long_frames, at_least=1)
    yield _beside_control("cpu-1000", visit, "cpu-1000-raw", seen.cpu / TOKENS * 1000)


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
    return Reading(metric, None, seen.why) if seen.why else Reading(metric, p95(seen.lags))


def _beside_control(metric: str, visit: Visit, key: str, value: float, at_least: float = 0) -> Reading:
    """`value` divided by what the control page has under `key`; the control page leaves its own there."""
    if visit.subject.effort == "control":
        visit.control[key] = value
        return Reading(metric, 1.0)
    control = max(at_least, visit.control.get(key, 0))
    if key not in visit.control or not control:
        return Reading(metric, None, NO_CONTROL)
    return Reading(metric, value / control)


MEASURES = (
    Measure("An answer", ("echo", "paint", "paint-control", "long-frames", "cpu-1000"), take_answer, runs=5),
    Measure("An answer on a slow CPU", ("echo-4x", "paint-4x"), take_slow_answer, runs=3),
)
