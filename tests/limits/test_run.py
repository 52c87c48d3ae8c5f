"""In which order the lab takes its figures, and what the terminal says meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import app
import cli
from limits import machine
from limits.figures import Reading
from limits.measures import Measure, all_measures
from limits.metrics import METRICS
from limits.run import play
from limits.subjects import FRONTENDS, SUBJECTS, Lacks
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


def test_what_cannot_be_revived_costs_its_own_figures_alone() -> None:
    asked: list[str] = []

    def revive(visit: Any) -> None:
        asked.append(visit.subject.id)
        if visit.subject.id == "gradio-stock":
            raise Lacks("It did not start.")

    taken, measure = Taken(), Measure("quick", ("cls",), lambda visit: [Reading("cls", 0.0)])
    play(visits(), [measure], 1, taken, lambda line: None, revive)
    assert asked == ["control", "gradio-stock", "gradio-pushed"]
    assert taken.readings["cls", "gradio-stock"] == [Reading("cls", None, "It did not start.")]
    assert taken.readings["cls", "gradio-pushed"] == [Reading("cls", 0.0)]


def test_every_round_begins_with_a_server_that_keeps_nothing() -> None:
    order: list[str] = []

    def renew(visit: Any) -> None:
        order.append(f"renew {visit.subject.id}")
        if visit.subject.id == "gradio-stock":
            raise Lacks("It did not start.")

    def take(visit: Any) -> Iterator[Reading]:
        order.append(f"take {visit.subject.id}")
        yield Reading("cls", 0.0)

    play(visits(), [Measure("quick", ("cls",), take, runs=2)], 2, Taken(), lambda line: None, renew=renew)
    names = ("control", "gradio-stock", "gradio-pushed")
    assert order == [*(f"renew {name}" for name in names), *(f"take {name}" for name in names)] * 2


def test_the_machine_tells_the_versions_of_frontends_that_are_packages() -> None:
    assert machine.describe("156.0", ["gradio", "react"])["versions"].keys() == {"gradio", "playwright"}


def test_the_report_goes_where_portico_reads_it_wherever_the_lab_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Any] = []
    monkeypatch.setattr("limits.run.run", lambda *arguments: given.append(arguments))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.cli, ["limits", "--runs", "2"])
    assert (result.exit_code, given[0][:3]) == (0, (FRONTENDS, 2, Path(app.__file__).parent / "limits" / "report")), result.output


def test_a_frontend_that_there_is_not_is_a_sentence() -> None:
    result = CliRunner().invoke(cli.cli, ["limits", "--ui", "react"])
    assert result.exit_code == 2
    assert "There is no frontend react; there are gradio and streamlit." in result.output
