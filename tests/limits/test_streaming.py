"""How soon a message and its answer are seen: planted delays are found, and a clean page has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.figures import Reading
from limits.measures import answer, streaming
from tests.limits.planted import visit_to

Read = Callable[..., dict[str, Reading]]
CONTROL = {"long-frames": 0.0, "cpu-1000": 0.5}
COSTS = ("long-frames", "long-frames-control", "cpu-1000", "cpu-1000-control")


@pytest.fixture(autouse=True, scope="module")
def shorter() -> Iterator[None]:
    """A second of tokens, and little patience, for a quick test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "TOKENS", 50)
        patch.setattr(answer, "GRACE_S", 3)
        yield


def take(browser: Browser, folder: Path, faults: str = "", slow: bool = False, **control: float) -> dict[str, Reading]:
    """An answer of the planted chat with these faults."""
    with visit_to(f"chat.html?{faults}", browser, folder) as visit:
        visit.control |= CONTROL | control
        return {one.metric: one for one in (streaming.take_slow_answer if slow else streaming.take_answer)(visit)}


@pytest.fixture
def read(browser: Browser, tmp_path: Path) -> Read:
    return partial(take, browser, tmp_path)


@pytest.fixture(scope="module")
def clean(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    return take(browser, tmp_path_factory.mktemp("clean"))


def value(reading: Reading) -> float:
    assert reading.value is not None, reading.why
    return reading.value


def test_a_clean_page_shows_message_and_tokens_soon(clean: dict[str, Reading]) -> None:
    assert clean.keys() == set(streaming.MEASURES[0].metrics)
    assert 0 < value(clean["echo"]) < 1000
    assert 0 < value(clean["paint"]) < 1000
    assert value(clean["long-frames-control"]) == max(1, value(clean["long-frames"]))
    assert value(clean["cpu-1000-control"]) == pytest.approx(value(clean["cpu-1000"]) / CONTROL["cpu-1000"])


def test_300_ms_of_script_after_enter_are_in_the_echo_and_one_long_frame(read: Read, clean: dict[str, Reading]) -> None:
    blocked = read("block=300")
    assert value(blocked["echo"]) >= 300 > value(clean["echo"])
    assert value(blocked["long-frames"]) >= value(clean["long-frames"]) + 1


def test_a_message_that_is_never_shown_is_said_in_a_sentence(read: Read) -> None:
    taken = read("mute")
    assert taken["echo"].value is None
    assert taken["echo"].why == "The message was not seen in the page after Enter."
    assert value(taken["paint"]) > 0  # the rest is measured all the same


def test_tokens_that_are_drawn_late_are_in_paint(read: Read, clean: dict[str, Reading]) -> None:
    assert value(clean["paint"]) < 400 <= value(read("lag=400")["paint"])


def test_work_at_each_token_is_in_cpu_and_long_frames(read: Read, clean: dict[str, Reading]) -> None:
    busy = read("burn=60")
    assert value(busy["long-frames"]) >= value(clean["long-frames"]) + 4
    assert value(busy["cpu-1000"]) > 2 * value(clean["cpu-1000"])


def test_tokens_that_never_appear_lag_until_the_watch_is_given_up_and_are_counted_in_a_sentence(read: Read) -> None:
    taken = read("short=5")
    assert value(taken["paint"]) >= 2900, "one in ten was waited for, three seconds beyond the last"
    for metric in ("paint", *COSTS):
        assert taken[metric].why == "Only 45 of 50 tokens were shown within 4 s."
    assert all(taken[metric].value is None for metric in COSTS)
    assert value(taken["echo"]) > 0


def test_a_page_that_asks_no_model_is_said_in_a_sentence(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "GRACE_S", 1)
    (tmp_path / "deaf.html").write_text("<!doctype html><title>Deaf</title><textarea></textarea>", encoding="utf-8")
    with visit_to("deaf.html", browser, tmp_path, folder=tmp_path) as visit:
        taken = {one.metric: one for one in streaming.take_answer(visit)}
    assert (taken["paint"].value, taken["paint"].why) == (None, "The question did not reach the model.")


def test_what_watching_costs_is_not_the_pages(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_cost_of_watching", lambda page, chromium: 0.0)
    counted = value(read("")["cpu-1000"])
    monkeypatch.setattr(answer, "_cost_of_watching", lambda page, chromium: 0.05)
    assert value(read("")["cpu-1000"]) < counted


def test_watching_an_idle_page_costs_something_and_not_all(browser: Browser, tmp_path: Path) -> None:
    with visit_to("chat.html", browser, tmp_path) as visit, visit.page() as page:
        visit.open(page)
        page.evaluate(answer.WATCH, ["mark-none", ".answer", 1, 10_000])
        chromium = page.context.new_cdp_session(page)
        chromium.send("Performance.enable")
        assert 0 <= answer._cost_of_watching(page, chromium) < 0.9


def test_the_control_page_is_beside_itself_one(browser: Browser, tmp_path: Path) -> None:
    with visit_to("chat.html", browser, tmp_path, effort="control") as visit:
        taken = {one.metric: one for one in streaming.take_answer(visit)}
        assert [value(taken[metric]) for metric in COSTS if metric.endswith("-control")] == [1, 1]


def test_without_a_control_page_there_is_no_ratio(read: Read) -> None:
    taken = read(**{"cpu-1000": 0})
    assert value(taken["cpu-1000"]) > 0
    assert taken["cpu-1000-control"].why == streaming.NO_CONTROL


def test_the_slow_cpu_is_chromiums_throttle(read: Read) -> None:
    fast, slow = read("work=400"), read("work=400", slow=True)  # so long that other processes matter little
    assert slow.keys() == set(streaming.MEASURES[1].metrics)
    assert value(slow["echo-4x"]) > 1.5 * value(fast["echo"])
    assert value(slow["paint-4x"]) > 0


def test_an_earlier_answer_is_not_taken_for_the_new_one(browser: Browser, tmp_path: Path) -> None:
    with visit_to("chat.html?late", browser, tmp_path) as visit, visit.page() as page:
        driver = visit.open(page)
        for _ in range(2):
            seen = answer.ask(visit, page, driver, 20, 20)
            assert not seen.why
            assert len(seen.lags) == 20
            assert min(seen.lags) > -5  # a number of before would have been there before it was written


def test_p95_is_the_nearest_rank() -> None:
    assert answer.p95([float(number) for number in range(1, 101)]) == 95
    assert answer.p95([7.0]) == 7
