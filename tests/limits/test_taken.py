"""What becomes of readings: medians, sentences where there is no figure, and the values of the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError

from limits.facts import SCHEMA
from limits.figures import Reading, summarize
from limits.measures import Measure
from limits.metrics import METRICS, OURS
from limits.subjects import Lacks, Subject
from limits.taken import Taken, compose


def subject(name: str, effort: Any = "stock") -> Subject:
    nothing: Any = None
    return Subject(name, name.partition("-")[0], effort, name.title(), nothing, nothing, (), (Path(), ""))


def visit() -> Any:
    return SimpleNamespace(control={}, steps=[])


def test_each_metric_is_named_once_and_says_whose_threshold_it_has() -> None:
    assert len({metric.id for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.title
        assert metric.how.endswith(".")
        assert metric.source or metric.good is None


def test_a_figure_is_the_median_with_its_spread_and_judged_by_the_threshold() -> None:
    figure = summarize("x", [Reading("fcp", 3.0, found=["a"]), Reading("fcp", 1.0), Reading("fcp", 1.5, found=["b", "c"])])
    assert (figure.median, figure.low, figure.high, figure.good) == (1.5, 1.0, 3.0, True)
    assert figure.found == ["b", "c"], "the worst run is the one that is shown"
    assert summarize("x", [Reading("fcp", 1.9)]).good is False
    assert summarize("x", [Reading("lighthouse-mobile", 89)]).good is False, "more is better"
    assert summarize("x", [Reading("keyboard", True)]).good is True
    assert summarize("x", [Reading("lines", 10**6)]).good is None, "told, not judged"


def test_what_could_not_be_taken_says_why_beside_what_could() -> None:
    figure = summarize("x", [Reading("fcp", None, "Nothing was drawn."), Reading("fcp", 1.0)])
    assert (figure.median, figure.good, figure.why) == (1.0, None, "Nothing was drawn."), "half of them judge nothing"
    more = summarize("x", [Reading("fcp", None, "Nothing was drawn."), Reading("fcp", 1.0), Reading("fcp", 1.2)])
    assert more.good is True
    none = summarize("x", [Reading("fcp", None, "Nothing was drawn.")])
    assert (none.median, none.good, none.why) == (None, None, "Nothing was drawn.")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Lacks("There is no Retry button."), "There is no Retry button."),
        (PlaywrightError("Not visible\nCall log: ..."), "The browser waited in vain: Not visible"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (KeyError(), "KeyError: no more is known"),
    ],
)  # fmt: skip
def test_a_measure_that_breaks_off_owes_a_reading_that_says_why(error: Exception, why: str) -> None:
    def take(visit: Any) -> Iterator[Reading]:
        yield Reading("fcp", 1.0)
        raise error

    taken, one = Taken(), subject("gradio-stock")
    assert taken.add(one, Measure("first", ("fcp", "lcp"), take), visit(), take(None)) == why
    assert taken.readings["fcp", one.id] == [Reading("fcp", 1.0)]
    assert taken.readings["lcp", one.id] == [Reading("lcp", None, why)]


def test_what_json_has_no_word_for_is_not_a_figure() -> None:
    taken, one = Taken(), subject("gradio-stock")
    taken.add(one, Measure("x", ("fcp",), lambda _: ()), visit(), [Reading("fcp", float("nan"))])
    assert taken.readings["fcp", one.id] == [Reading("fcp", None, "What was read is no number.")]


def test_lighthouses_benchmark_index_is_told_of_the_machine() -> None:
    taken, one = Taken(), subject("gradio-stock")
    found = [Reading("lighthouse-desktop", 90, found=(f"benchmarkIndex {index}", "more")) for index in (900, 1000, 1300)]
    taken.add(one, Measure("x", ("lighthouse-desktop",), lambda _: ()), visit(), found)
    assert compose(taken, [one], {"cpu": "x"}, 3)["machine"] == {"cpu": "x", "benchmark_index": 1000}
    assert compose(Taken(), [one], {"cpu": "x"}, 3)["machine"] == {"cpu": "x"}


def test_the_control_pages_figures_are_there_for_ratios() -> None:
    seen = visit()
    Taken().add(subject("control", "control"), Measure("x", ("paint",), lambda _: ()), seen, [Reading("paint", 20.0)])
    assert seen.control == {"paint": 20.0}
    Taken().add(subject("gradio-stock"), Measure("x", ("paint",), lambda _: ()), seen, [Reading("paint", 90.0)])
    assert seen.control == {"paint": 20.0}


def test_the_report_holds_figures_and_steps_as_json_in_the_metrics_order() -> None:
    one, taken, seen = subject("gradio-stock"), Taken(), visit()
    results = [
        SimpleNamespace(step="stop", title="It stops", subject=one.id, passed=passed, why=why, picture="")
        for passed, why in ((True, ""), (False, "It went on."), (True, ""))
    ]
    for result in results:
        seen.steps = [result]
        taken.add(one, Measure("x", ("cls", "ttfb"), lambda _: ()), seen, [Reading("cls", 0.0), Reading("ttfb", 0.1)])
    report = json.loads(json.dumps(compose(taken, [one], {"cpu": "x"}, 3)))
    assert [figure["metric"] for figure in report["figures"]] == ["ttfb", "cls"]
    assert report["figures"][0] | {"values": 0} == {
        "metric": "ttfb", "subject": "gradio-stock", "values": 0, "median": 0.1, "low": 0.1, "high": 0.1, "good": True,
        "why": "", "found": [], "picture": "",
    }  # fmt: skip
    assert report["steps"] == [
        {
            "step": "stop",
            "title": "It stops",
            "subject": one.id,
            "passed": [True, False, True],
            "why": "It went on.",
            "picture": "",
        }
    ]  # fmt: skip
    assert report["metrics"][0]["source"] != OURS
    assert report["schema"] == SCHEMA
