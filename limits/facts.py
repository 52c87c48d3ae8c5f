"""A report's JSON as typed facts to look up: its subjects, metrics, figures and steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from limits.figures import Figure
from limits.metrics import Metric

SCHEMA = 2  # of the report's JSON: counts the changes of its names and meaning
EXCUSED = 2  # times the control page's figure: what is more a frontend misses by itself

# Area: what it is about, and the groups of metrics that it takes in.
AREAS = {
    "Behaviour": ("what happens when one uses it by keyboard or by ear, and when something goes wrong", ("For everybody",)),
    "Looks": ("what arrives of the brand, and how it fits a phone", ("On a phone", "The brand")),
    "Speed": ("how soon it opens, and how soon a word is on the screen", ("First seconds", "While it answers")),
    "Weight": ("what it costs on the wire, on the server, and to make", ("On the wire", "What it costs")),
}


@dataclass(frozen=True, slots=True)
class About:
    """Who was measured: `name` is the frontend's own, without how much effort went into it."""

    id: str
    frontend: str
    effort: str
    title: str

    @property
    def name(self) -> str:
        return self.title.partition(",")[0]


class Facts:
    """Raises ValueError where the report has another schema than ours."""

    def __init__(self, report: dict[str, Any]) -> None:
        if report["schema"] != SCHEMA:
            raise ValueError(
                f"This report has schema {report['schema']}; this lab reads {SCHEMA}. Make it again with python app.py limits."
            )
        self.report = report
        self.subjects = [About(**one) for one in report["subjects"]]
        self.metrics = [Metric(**one) for one in report["metrics"]]
        self._figures = {(one["metric"], one["subject"]): Figure(**one) for one in report["figures"]}

    def figure(self, metric: Metric, subject: About) -> Figure | None:
        """None where the subject was not asked at all."""
        return self._figures.get((metric.id, subject.id))

    def title(self, subject: str) -> str:
        return next((one.title for one in self.subjects if one.id == subject), subject)

    def runs(self, metric: Metric) -> int:
        """How often it was taken, of the subject on which it was most often."""
        return max((len(figure.values) for (id, _), figure in self._figures.items() if id == metric.id), default=0)

    def metric(self, id: str) -> Metric | None:
        return next((one for one in self.metrics if one.id == id), None)

    def metrics_of(self, area: str) -> list[Metric]:
        return [metric for metric in self.metrics if metric.group in AREAS[area][1]]

    def of_effort(self, effort: str) -> list[About]:
        return [one for one in self.subjects if one.effort == effort]

    @property
    def control(self) -> About | None:
        return next(iter(self.of_effort("control")), None)

    @property
    def control_last(self) -> list[About]:
        return sorted(self.subjects, key=lambda one: one.effort == "control")

    @property
    def pairs(self) -> list[tuple[About | None, About | None]]:
        """(stock, pushed) of each frontend; None for one that was not measured."""
        names = dict.fromkeys(one.frontend for one in self.subjects if one.effort != "control")
        return [(self._one(name, "stock"), self._one(name, "pushed")) for name in names]

    def _one(self, frontend: str, effort: str) -> About | None:
        return next((one for one in self.subjects if (one.frontend, one.effort) == (frontend, effort)), None)

    def with_result(self, metrics: Iterable[Metric], subject: About, good: bool | None) -> list[Metric]:
        """Those of `metrics` that `subject` passes (True) or misses (False); None: judged, but could not be taken."""
        control = subject.effort == "control"
        judged = (one for one in metrics if one.good is not None and not (control and one.unit == "x control"))  # 1 of itself
        found = ((metric, self.figure(metric, subject)) for metric in judged)
        return [metric for metric, figure in found if figure is not None and figure.good is good]

    def judged(self, metrics: Iterable[Metric], subject: About) -> int:
        """How many of `metrics` tell of `subject`: they have a threshold, could be taken, and are not the machine's."""
        listed = list(metrics)
        return len(self.with_result(listed, subject, True)) + len(self.misses(listed, subject))

    def beside_control(self, metric: Metric, subject: About) -> float | None:
        """A time divided by the control page's; None for what is no time, and for the control page itself."""
        if metric.unit not in ("s", "ms") or self.control is None or subject.effort == "control":
            return None
        mine, its = self.figure(metric, subject), self.figure(metric, self.control)
        return mine.median / its.median if mine and its and mine.median is not None and its.median else None

    def excused(self, metrics: Iterable[Metric], subject: About) -> list[Metric]:
        """What `subject` misses in speed, and the control page, which does next to nothing, misses by as much or nearly.

        That tells of the machine, not of a frontend.
        """
        fast = [metric for metric in metrics if metric.group in AREAS["Speed"][1]]
        machines = self.with_result(fast, self.control, False) if self.control else []
        missed = self.with_result(machines, subject, False)
        return [one for one in missed if self._near_control(one, subject)]

    def _near_control(self, metric: Metric, subject: About) -> bool:
        """Whether a figure of `subject` is at most EXCUSED times as bad as the control page's; both are there."""
        mine, its = (self.figure(metric, one) for one in (subject, self.control) if one)
        if mine is None or its is None or mine.median is None or its.median is None:
            return False
        worse, better = (mine.median, its.median) if metric.better == "less" else (its.median, mine.median)
        return worse <= EXCUSED * better

    def misses(self, metrics: Iterable[Metric], subject: About) -> list[Metric]:
        """What `subject` misses by itself."""
        listed = list(metrics)
        excused = self.excused(listed, subject)
        return [one for one in self.with_result(listed, subject, False) if one not in excused]

    def turned(self, metrics: Iterable[Metric], stock: About, pushed: About, good: bool) -> list[Metric]:
        """What is `good` once pushed and was the other in stock."""
        listed = list(metrics)
        passed, missed = (stock, pushed) if not good else (pushed, stock)
        misses = self.misses(listed, missed)
        return [one for one in self.with_result(listed, passed, True) if one in misses]

    @property
    def steps(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The scenario: by step's id, then by subject's."""
        made: dict[str, dict[str, dict[str, Any]]] = {}
        for one in self.report["steps"]:
            made.setdefault(one["step"], {})[one["subject"]] = one
        return made
