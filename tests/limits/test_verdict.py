"""The verdict's rules over made-up figures: what is said follows from the numbers, whichever way they point."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from limits.facts import AREAS, SCHEMA, Facts
from limits.figures import Reading, summarize
from limits.metrics import BY_ID, METRICS
from limits.verdict import Area, effort_in_all, headline, judge
from limits.wording import SPACE, listed, number, quantity, threshold
from tests.limits.made_up import made_up

PEOPLE = {
    "control": ("control", "control", "Control page"),
    "g": ("gradio", "stock", "Gradio, stock"), "G": ("gradio", "pushed", "Gradio, pushed"),
    "s": ("streamlit", "stock", "Streamlit, stock"), "S": ("streamlit", "pushed", "Streamlit, pushed"),
}  # fmt: skip


def facts(steps: list[dict[str, Any]] | None = None, **rows: dict[str, float | None]) -> Facts:
    """`facts(lcp={"g": 3, "G": 2})`: the ids with "_" for "-", the values by subject, None for what could not be taken."""
    values = {id.replace("_", "-"): row for id, row in rows.items()}
    who = [id for id in PEOPLE if any(id in row for row in values.values())]
    return Facts({
        "schema": SCHEMA, "steps": steps or [], "metrics": [asdict(BY_ID[id]) for id in values],
        "subjects": [dict(zip(("id", "frontend", "effort", "title"), (id, *PEOPLE[id]), strict=True)) for id in who],
        "figures": [asdict(summarize(one, [Reading(id, value, "" if value is not None else "It broke.")]))
                    for id, row in values.items() for one, value in row.items()],
    })  # fmt: skip


def area(found: Facts, name: str) -> Area:
    return next(one for one in judge(found).areas if one.name == name)


def said(found: Facts, name: str, label: str) -> list[str]:
    return [one.replace(SPACE, " ") for one in dict(area(found, name).said).get(label, [])]


def test_the_headline_names_where_pushed_frontends_miss_and_where_they_do_not() -> None:
    found = facts(resilience={"G": 6, "S": 7}, keyboard={"G": 1, "S": 1}, reflow={"G": 0, "S": 0}, lcp={"G": 3, "S": 1})
    assert headline(found) == (
        "The ceiling is behaviour and speed, not looks: pushed as far as they go, Gradio and Streamlit miss 2 of 4 figures on "
        "behaviour and 1 of 2 on speed, and none of 2 on looks."
    )


def test_the_headline_says_so_when_looks_fail_and_behaviour_does_not() -> None:
    found = facts(resilience={"G": 8}, reflow={"G": 3})
    assert headline(found) == (
        "The ceiling is looks, not behaviour: pushed as far as it goes, Gradio misses 1 of 1 figures on looks, "
        "and none of 1 on behaviour."
    )


def test_the_headline_says_so_when_nothing_fails() -> None:
    assert headline(facts(resilience={"G": 8}, lcp={"G": 1})) == (
        "No ceiling was found: pushed, Gradio meets all 2 figures that have a threshold."
    )


def test_the_headline_says_so_when_every_part_fails() -> None:
    found = facts(resilience={"G": 1}, reflow={"G": 3}, lcp={"G": 9}, wire_load={"G": 900}, axe_empty={"G": 1})
    assert headline(found).startswith("Every part has a ceiling, behaviour first: ")


def test_without_pushed_frontends_or_figures_nothing_is_claimed() -> None:
    assert headline(facts(lcp={"g": 9})).startswith("No pushed frontend was measured")
    assert headline(facts(lcp={"G": None})) == "Nothing that has a threshold could be taken."


def test_a_time_that_the_control_page_misses_too_is_held_against_nobody() -> None:
    found = facts(lcp={"control": 3, "G": 6}, resilience={"control": 1, "G": 6})
    assert said(found, "Speed", "The ceiling") == [
        "Held against nobody, since the control page misses it by as much or nearly: largest paint.",
    ]  # fmt: skip
    assert said(found, "Behaviour", "The ceiling") == ["Gradio still misses 1 of 1: what it survives (6 of 8; good is 8 of 8)."]
    assert headline(found).startswith("The ceiling is behaviour: ")


def test_a_frontend_that_takes_more_than_twice_as_long_as_the_control_page_is_not_excused() -> None:
    found = facts(paint_4x={"control": 510, "g": 1100, "G": 1010})
    assert said(found, "Speed", "The ceiling") == [
        "Held against nobody, since the control page misses it by as much or nearly: token to screen on a slow CPU."
    ]
    assert said(found, "Speed", "Fails in stock") == ["Gradio misses 1 of 1."]
    assert headline(facts(paint_4x={"control": 510, "G": 11_400})).startswith("The ceiling is speed: ")


@pytest.mark.parametrize(("of_frontend", "held"), [(45, "Held against nobody"), (43, "Gradio still misses 1 of 1")])
def test_where_more_is_better_half_of_the_control_pages_is_the_bound(of_frontend: float, held: str) -> None:
    found = facts(lighthouse_mobile={"control": 88, "G": of_frontend})
    assert [one for one in said(found, "Speed", "The ceiling") if one.startswith(held)]


def test_what_is_no_time_is_not_excused_however_bad() -> None:
    assert headline(facts(cls={"control": 0.11, "G": 0.9})).startswith("The ceiling is speed: ")


def test_stock_is_excused_by_the_control_page_as_pushed_is() -> None:
    found = facts(lcp={"control": 3, "g": 4, "G": 4}, fcp={"g": 3, "G": 3})
    assert said(found, "Speed", "Fails in stock") == ["Gradio misses 1 of 1."]
    assert said(found, "Speed", "Effort buys") == ["Gradio: no miss is mended."]


def test_the_control_page_is_not_judged_by_ratios_to_itself() -> None:
    scores = area(facts(cpu_1000_control={"control": 1, "G": 3}), "Speed").scores
    assert (scores["control"].judged, scores["G"].judged) == (0, 1)


def test_times_stand_beside_the_control_pages() -> None:
    found = facts(lcp={"control": 2, "G": 5}, wire_load={"control": 1, "G": 5})
    control, gradio = (next(one for one in found.subjects if one.effort == effort) for effort in ("control", "pushed"))
    assert found.beside_control(BY_ID["lcp"], gradio) == 2.5
    assert found.beside_control(BY_ID["lcp"], control) is None
    assert found.beside_control(BY_ID["wire-load"], gradio) is None, "no time"
    assert facts(lcp={"G": 5}).beside_control(BY_ID["lcp"], gradio) is None


def test_effort_is_what_turned_for_the_better_and_for_the_worse() -> None:
    found = facts(lcp={"g": 3, "G": 2}, fcp={"g": 1, "G": 2.5}, paint={"g": 300, "G": 200}, keyboard={"g": 0, "G": 1})
    assert said(found, "Speed", "Effort buys") == [
        "Gradio: 1 of 2 misses mended: largest paint (3 s → 2 s). It costs first paint (1 s → 2.5 s)."
    ]
    assert said(found, "Behaviour", "Effort buys") == ["Gradio: 1 of 1 miss mended: use by keyboard alone."]
    assert (
        effort_in_all(found) == "Effort mends 2 of the 3 misses that the stock apps have, and makes 1 that were good miss theirs."
    )


def test_effort_that_mends_nothing_is_said_and_none_where_nothing_was_to_mend() -> None:
    assert said(facts(lcp={"g": 3, "G": 3}), "Speed", "Effort buys") == ["Gradio: no miss is mended."]
    assert said(facts(lcp={"g": 1, "G": 1}), "Speed", "Effort buys") == []
    assert effort_in_all(facts(lcp={"g": 1, "G": 1})) == "The stock apps miss no threshold."


def test_what_is_good_everywhere_and_what_stock_misses() -> None:
    found = facts(lcp={"g": 1, "G": 1, "s": 1, "S": 1}, fcp={"g": 3, "G": 1, "s": 1, "S": 1})
    assert said(found, "Speed", "Good") == ["1 of 2 pass in every frontend, stock and pushed: largest paint."]
    assert said(found, "Speed", "Fails in stock") == ["Gradio misses 1 of 2; Streamlit misses none of 2."]
    assert said(facts(lcp={"g": 1, "G": 1}), "Speed", "Good") == [
        "The one figure with a threshold passes in every frontend, stock and pushed."
    ]


def test_what_could_not_be_taken_is_neither_good_nor_bad_and_is_counted() -> None:
    found = facts(lcp={"G": None}, fcp={"G": 1})
    score = area(found, "Speed").scores["G"]
    assert (score.good, score.judged, score.untaken) == (1, 1, 1)
    assert said(found, "Speed", "Not taken") == ["1 figure with a threshold could not be taken; the table says why."]
    assert said(found, "Speed", "Good") == ["The one figure with a threshold passes in every frontend, stock and pushed."]


def test_what_has_no_threshold_is_told_and_counts_nowhere() -> None:
    found = facts(brand={"g": 12, "G": 98, "S": 94})
    assert said(found, "Looks", "Told, not judged") == ["Brand tokens that arrive: Gradio 12 % → 98 %, Streamlit 94 %."]
    assert area(found, "Looks").scores["G"].judged == 0


def test_the_story_is_told_by_what_passed_in_every_round() -> None:
    titles = {"a": "Ask: it is answered.", "b": "Stop, and keep what there is."}
    steps = [
        {"step": step, "title": title, "subject": one, "passed": passed, "why": "", "picture": ""}
        for step, title in titles.items() for one, passed in (("g", [False]), ("G", [True, step == "a"]))
    ]  # fmt: skip
    assert said(facts(steps, lcp={"g": 1, "G": 1}), "Behaviour", "The story") == [
        "Gradio, of 2 steps passed in every round: stock 0; pushed 1, all but “Stop”."
    ]


def test_every_group_of_metrics_belongs_to_one_area() -> None:
    groups = [group for _, groups in AREAS.values() for group in groups]
    assert sorted(groups) == sorted({metric.group for metric in METRICS})


def test_the_whole_verdict_of_a_whole_report(tmp_path: Path) -> None:
    verdict = judge(Facts(made_up(tmp_path)))
    assert [one.name for one in verdict.areas] == list(AREAS)
    assert verdict.headline.count(".") == 1, "one sentence"
    assert all(
        sentence.endswith(".") and ".." not in sentence for one in verdict.areas for _, found in one.said for sentence in found
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (0.5, "0.5"), (1.19, "1.19"), (12.34, "12.3"), (99.96, "100"), (11_400, "11,400")],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_values_and_thresholds_read_as_people_say_them() -> None:
    assert [quantity(value, "pass") for value in (1, 0, 0.5)] == ["yes", "no", "at times"]
    assert quantity(2.2, "x control") == f"2.2×{SPACE}control"
    assert quantity(1.2, "x") == "1.2×"
    ids = ("lcp", "reflow", "targets-24", "resilience", "keyboard", "input-font", "brand")
    assert [threshold(BY_ID[id]).replace(SPACE, " ") for id in ids] == [
        "at most 2.5 s", "none", "100 %", "8 of 8", "yes", "at least 16 px", "",
    ]  # fmt: skip


def test_lists_leave_no_single_one_out() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], 2) == "a, b and c"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
