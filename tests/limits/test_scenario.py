"""The scenario: a page without a fault passes every step, and one with a fault fails its step with the sentence that tells it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.measures.resilience import take
from limits.metrics import BY_ID
from limits.play import play_all
from limits.scenario import SCENARIO, Step
from limits.token_server import TokenServer
from limits.verbs import VERBS
from tests.limits.durable import visit_durable
from tests.limits.planted import PageDriver

STEPS = {step.name: step for step in SCENARIO}
EIGHT = ["cut", "restart", "reload", "tabs", "error", "stop", "draft", "scroll"]


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


def hurried(step: Step) -> Step:
    """The same without patience: what a fault takes away does not come."""
    acts = tuple((act[0], act[1], min(act[2], 6)) if act[0] == "ends at" else act for act in step.acts)
    return dataclasses.replace(step, acts=acts)


def test_the_scenario_is_whole() -> None:
    """Eight steps count, no name is there twice, each verb exists, and the metric asks for as many."""
    assert [step.name for step in SCENARIO if step.counts] == EIGHT
    assert len(STEPS) == len(SCENARIO)
    assert BY_ID["resilience"].good == len(EIGHT)
    for step in SCENARIO:
        assert re.fullmatch(r"[A-Z].+\.", step.title), step.title
        assert all(act[0] in VERBS for act in step.acts), step.name


def test_what_survives_everything_passes_everything(tokens: TokenServer, browser: Browser, tmp_path: Path) -> None:
    with visit_durable(tokens, browser, tmp_path) as visit:
        (reading,) = take(visit)
        assert [(result.step, result.why) for result in visit.steps if not result.passed] == []
        assert [result.step for result in visit.steps] == list(STEPS)
    assert (reading.metric, reading.value, reading.found) == ("resilience", 8, ())
    assert list(tmp_path.iterdir()) == [], "pictures are of failures"


@pytest.mark.parametrize(
    ("step", "fault", "sentence"),
    [
        ("cut", "cut", r"no answer was there"),
        ("restart", "forgets", r"The conversation was gone\."),
        ("reload", "reload", r"The conversation was gone\."),
        ("tabs", "one-at-a-time", r"only after the first had its answer"),
        ("error", "dead-composer", r"The composer takes no text\."),
        ("error", "pill", r"no sentence: “Error”"),
        ("stop", "deaf-stop", r"still writing 2 s after Stop"),
        ("stop", "loses-partial", r"The partial answer was lost: \d+ numbers stood there, then 0\."),
        ("stop", "loses-it-later", r"The partial answer of \d+ numbers was lost with the next question\."),
        ("error", "loses-it-later", r"The partial answer of 5 numbers was lost with the next question\."),
        ("draft", "disabled", r"The composer is disabled while it answers\."),
        ("draft", "loses-draft", r"The draft was lost\."),
        ("draft", "loses-focus", r"The composer lost the focus to <body"),
        ("scroll", "pulls", r"pulled back down"),
    ],
)
def test_a_planted_fault_fails_its_step(
    tokens: TokenServer, browser: Browser, tmp_path: Path, step: str, fault: str, sentence: str
) -> None:
    with visit_durable(tokens, browser, tmp_path, fault) as visit:
        (result,) = play_all(visit, [hurried(STEPS[step])])
    assert (result.step, result.subject, result.passed) == (step, "durable", False)
    assert re.search(sentence, result.why), result.why
    assert (tmp_path / result.picture).is_file()


def test_a_page_on_which_nobody_can_type_is_pictured_too(tokens: TokenServer, browser: Browser, tmp_path: Path) -> None:
    with visit_durable(tokens, browser, tmp_path, "shut") as visit:
        results = list(play_all(visit, [STEPS["sign-in"], STEPS["reload"]]))  # the story's page, and one of its own
    assert [result.passed for result in results] == [False, False]
    assert {result.picture for result in results} == {"durable-step-sign-in.png", "durable-step-reload.png"}
    assert {file.name for file in tmp_path.iterdir()} == {result.picture for result in results}


def test_a_step_that_fails_does_not_end_the_run(tokens: TokenServer, browser: Browser, tmp_path: Path) -> None:
    """What a frontend lacks is told in its words, whatever breaks in a sentence, and the story goes on with a fresh page."""
    broken = Step("broken", "Do what nobody can.", (("no such verb",),))
    with visit_durable(tokens, browser, tmp_path, driver=PageDriver) as visit:  # which has no stop
        results = list(play_all(visit, [STEPS["send"], STEPS["stop-early"], broken, STEPS["send"]]))
    assert [result.passed for result in results] == [True, False, False, True]
    assert results[1].why == "The page has no stop button."
    assert re.fullmatch(r"It was not possible to .*no such verb.*\.", results[2].why)
