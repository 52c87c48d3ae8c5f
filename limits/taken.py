"""All that a run of the lab has read, and the report that it makes: the values of report.json."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from limits.facts import SCHEMA
from limits.figures import Reading, summarize
from limits.measures import Measure
from limits.measures.lighthouse import BENCHMARK
from limits.metrics import BY_ID, METRICS
from limits.pictures import Picture
from limits.subjects import Subject
from limits.told import sentence
from limits.visit import Visit

Report = dict[str, Any]


@dataclass(slots=True)
class Taken:
    """All that was read so far."""

    readings: dict[tuple[str, str], list[Reading]] = field(default_factory=lambda: defaultdict(list))  # metric, subject
    steps: dict[tuple[str, str], list[Any]] = field(default_factory=lambda: defaultdict(list))  # step, subject
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, subject: Subject, measure: Measure, visit: Visit, readings: Iterable[Reading]) -> str:
        """Take what a measure yields; what it owes when it breaks off is a reading that says why. Back with that, if so."""
        owed, why = list(measure.metrics), ""
        try:
            for reading in readings:
                self._put(subject, visit, reading)
                owed = [metric for metric in owed if metric != reading.metric]
        except Exception as error:  # whatever it is, the other figures are wanted
            why = sentence(error)
        for metric in owed:
            self._put(subject, visit, Reading(metric, None, why or "The measure did not say."))
        for result in visit.steps:
            self.steps[result.step, subject.id].append(result)
        return why

    def lack(self, subject: Subject, measures: Iterable[Measure], why: str) -> None:
        """Nothing can be measured of `subject`."""
        for metric in (metric for measure in measures for metric in measure.metrics):
            self.readings[metric, subject.id].append(Reading(metric, None, why))

    def _put(self, subject: Subject, visit: Visit, reading: Reading) -> None:
        if reading.value is not None and not math.isfinite(reading.value):  # JSON has no word for it
            reading = Reading(reading.metric, None, "What was read is no number.", reading.found, reading.picture)
        self.readings[reading.metric, subject.id].append(reading)
        if subject.effort == "control" and reading.value is not None:
            visit.control.setdefault(reading.metric, reading.value)


def compose(taken: Taken, subjects: Sequence[Subject], about: dict[str, Any], rounds: int) -> Report:
    """The report as JSON values; `schema` counts the changes of their names and meaning."""
    order = {metric.id: number for number, metric in enumerate(METRICS)}
    keys = sorted(taken.readings, key=lambda key: order[key[0]])
    return {
        "schema": SCHEMA,
        "made": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": about | _benchmark(taken),
        "runs": rounds,
        "subjects": [{name: getattr(one, name) for name in ("id", "frontend", "effort", "title")} for one in subjects],
        "metrics": [asdict(BY_ID[metric]) for metric in dict.fromkeys(metric for metric, _ in keys)],
        "figures": [asdict(summarize(subject, taken.readings[metric, subject])) for metric, subject in keys],
        "steps": [_step(results) for results in taken.steps.values()],
        "pictures": [asdict(picture) for picture in taken.pictures],
        "notes": taken.notes,
    }


def _benchmark(taken: Taken) -> dict[str, float]:
    """How fast Lighthouse found the machine, the median of all its looks; nothing where it did not look."""
    lines = [line for readings in taken.readings.values() for one in readings for line in one.found]
    found = [float(line.removeprefix(BENCHMARK)) for line in lines if line.startswith(BENCHMARK)]
    return {"benchmark_index": round(statistics.median(found))} if found else {}


def _step(results: Sequence[Any]) -> dict[str, Any]:
    """A scenario's step on a subject over all rounds; the first failure is the one that is shown."""
    failed = next((one for one in results if not one.passed), results[0])
    return {
        "step": failed.step, "title": failed.title, "subject": failed.subject,
        "passed": [one.passed for one in results], "why": failed.why, "picture": failed.picture,
    }  # fmt: skip
