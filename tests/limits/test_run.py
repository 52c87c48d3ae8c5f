"""In which order the lab takes its figures, and what the terminal says meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from typer.testing import CliRunner

import cli
from limits.figures import Reading
from limits.measures import Measure, all_measures
from limits.metrics import METRICS
from limits.run import play
from limits.subjects import SUBJECTS
from limits.taken import Taken
from tests.limits.test_taken import subject


def visits() -> list[Any]:
    subjects = [subject("control", "control"), subject("gradio-stock"), subject("gradio-pushed", "pushed")]
    return [SimpleNamespace(subject=one, control={}, steps=[]) for one in subjects]


def test_every_metric_is_taken_by_exactly_one_measure() -> None:
    taken = [metric for measure in all_measures() for metric in measure.metrics]
    assert sorted(taken) == sorted(metric.id for metric in METRICS)


def test_each_frontend_is_there_stock_and_pushed_and_the_control_page_first() -> None:
    assert [(one.frontend, one.effort) for one in SUBJECTS] == [
        ("control", "control"), ("gradio", "stock"), ("gradio", "pushed"), ("streamlit", "stock"), ("streamlit", "pushed"),
    ]  # fmt: skip


def test_rounds_go_over_all_subjects_in_turn_and_what_fails_stops_nothing() -> None:
    said: list[str] = []
    order: list[str] = []

    def often(visit: Any) -> Iterator[Reading]:
        order.append(f"often {visit.subject.id} {visit.control.get('paint', '-')}")
        yield Reading("paint", float(len(order)))

    def seldom(visit: Any) -> Iterator[Reading]:
        order.append(f"seldom {visit.subject.id}")
        if visit.subject.id == "gradio-stock":
            raise RuntimeError("it broke")
        yield Reading("cls", 0.0)

    taken = Taken()
    play(
        visits(),
        [Measure("often", ("paint",), often, runs=5), Measure("seldom", ("cls",), seldom, runs=1)],
        2,
        taken,
        said.append,
    )
    assert order == [
        "often control -", "often gradio-stock 1.0", "often gradio-pushed 1.0",
        "seldom control", "seldom gradio-stock", "seldom gradio-pushed",
        "often control -", "often gradio-stock 7.0", "often gradio-pushed 7.0",
    ]  # fmt: skip
    assert [one.value for one in taken.readings["paint", "gradio-stock"]] == [2.0, 8.0]
    assert taken.readings["cls", "gradio-stock"] == [Reading("cls", None, "RuntimeError: it broke")]
    assert len(said) == 9
    assert said[0].startswith("[1/9] Control: often, round 1; about ")
    assert "(RuntimeError: it broke)" in said[4]
    assert "done" in said[8]


def test_a_frontend_that_there_is_not_is_a_sentence() -> None:
    result = CliRunner().invoke(cli.cli, ["limits", "--ui", "react"])
    assert result.exit_code == 2
    assert "There is no frontend react; there are gradio and streamlit." in result.output
