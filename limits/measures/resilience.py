"""What a frontend survives: the eight steps of the scenario that count."""

from __future__ import annotations

from collections.abc import Iterator

from limits.figures import Reading
from limits.measures import Measure
from limits.play import play_all
from limits.scenario import SCENARIO
from limits.visit import Visit

COUNTED = [step.name for step in SCENARIO if step.counts]


def take(visit: Visit) -> Iterator[Reading]:
    """Play the scenario once; its steps are in `visit.steps` too, as far as it came."""
    visit.steps.extend(play_all(visit))
    counted = [result for result in visit.steps if result.step in COUNTED]
    failed = [result for result in counted if not result.passed]
    found = tuple(f"{result.step}: {result.why}" for result in failed)
    picture = next((result.picture for result in failed if result.picture), "")
    yield Reading("resilience", len(counted) - len(failed), found=found, picture=picture)


MEASURES = (Measure("resilience", ("resilience",), take),)
