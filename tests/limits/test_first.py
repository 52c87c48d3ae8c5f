"""The first seconds: a planted shift and a planted block are found, a clean page has neither."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from limits.figures import Reading
from limits.measures import first
from limits.measures import lighthouse as lighthouse_module
from limits.measures.lighthouse import lighthouse, signed_in_chromium
from limits.subjects import Lacks
from limits.visit import Visit
from tests.limits.planted import visit_to


@pytest.fixture
def clean(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    with visit_to("chat.html", browser, tmp_path) as visit:
        yield visit


def take(visit: Visit) -> dict[str, Reading]:
    return {one.metric: one for one in first.take_vitals(visit)}


def value(reading: Reading) -> float:
    assert reading.value is not None, reading.why
    return reading.value


def test_a_clean_page_is_drawn_soon_and_does_not_jump(clean: Visit) -> None:
    taken = take(clean)
    assert taken.keys() == set(first.MEASURES[0].metrics)
    assert 0 < value(taken["ttfb"]) < value(taken["fcp"]) <= value(taken["lcp"]) < first.GIVE_UP_S  # seconds, whatever the load
    assert value(taken["cls"]) == 0
    assert value(taken["ttfb"]) < value(taken["ready"]) < 3 * first.GIVE_UP_S


def test_a_page_that_jumps_has_a_layout_shift_and_says_what_jumped(browser: Browser, tmp_path: Path) -> None:
    with visit_to("shifting.html", browser, tmp_path) as visit:
        taken = take(visit)
    assert value(taken["cls"]) > 0.1
    assert taken["cls"].found == ("#pushed",)
    assert value(taken["ready"]) >= 0.7  # the composer is disabled until then


def test_a_page_that_draws_nothing_has_no_paint_and_says_so(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first, "GIVE_UP_S", 2)
    (tmp_path / "bare.html").write_text(
        "<!doctype html><title>Bare</title><textarea style='opacity: 0'></textarea>", encoding="utf-8"
    )
    with visit_to("bare.html", browser, tmp_path, folder=tmp_path) as visit:
        taken = take(visit)
    assert value(taken["ttfb"]) > 0
    assert taken["lcp"].value is None
    assert taken["lcp"].why == "web-vitals told nothing of it within 2 s."


@pytest.mark.timeout(400)  # three looks, each given up after RUN_S
def test_lighthouse_is_signed_in_and_finds_a_block_that_a_clean_page_has_not(browser: Browser, tmp_path: Path) -> None:
    with visit_to("blocking.html", browser, tmp_path, locked=True) as visit:
        taken = {one.metric: one for one in first.take_lighthouse(visit)}
        assert taken.keys() == set(first.MEASURES[1].metrics)
        visit.running.url = visit.running.url.replace("blocking", "chat")
        with signed_in_chromium(visit) as port:
            clean = lighthouse(visit, port, "mobile")
    assert value(taken["tbt-mobile"]) > 300 + clean["audits"]["total-blocking-time"]["numericValue"]  # a phone's CPU is slower
    assert any("blocking.html" in one for one in taken["tbt-mobile"].found)
    assert value(taken["lighthouse-mobile"]) < clean["categories"]["performance"]["score"] * 100
    assert 0 < value(taken["lighthouse-desktop"]) <= 100
    assert taken["lighthouse-mobile"].found[0].startswith("benchmarkIndex ")


def test_lighthouse_on_an_address_that_fails_is_said_in_a_sentence(clean: Visit) -> None:
    clean.running.url += "-not-there"
    with signed_in_chromium(clean) as port, pytest.raises(Lacks, match=r"Lighthouse gave no score: .*404"):
        lighthouse(clean, port, "mobile")


def test_lighthouse_that_is_led_to_another_page_has_not_seen_this_one(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "away.html").write_text("<!doctype html><title>Away</title><script>location.replace('door.html')</script>")
    (tmp_path / "door.html").write_text("<!doctype html><html lang=en><title>Door</title><p>Sign in first.</p>")
    told = r"Lighthouse was shown /.*door\.html, and not /.*away\.html"
    with (
        visit_to("away.html", browser, tmp_path, folder=tmp_path) as visit,
        signed_in_chromium(visit) as port,
        pytest.raises(Lacks, match=told),
    ):
        lighthouse(visit, port, "desktop")


def test_lighthouse_that_does_not_end_is_given_up(clean: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lighthouse_module, "RUN_S", 0.5)
    with signed_in_chromium(clean) as port, pytest.raises(Lacks, match="did not end within"):
        lighthouse(clean, port, "desktop")
