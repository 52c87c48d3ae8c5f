"""The report as people meet it: one file, in a real Chromium, on a phone, a desktop and paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from auth.middleware import CONTENT_SECURITY_POLICY
from limits.album import album
from limits.axe import overflow, violations
from limits.metrics import METRICS
from limits.report import render, summary_markdown, write
from limits.wording import NAMES, SPACE
from tests.limits.made_up import SUBJECTS, made_up


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    write(made_up(made), made)
    return made


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    """The report opened from the disk, in a browser without a network; nothing but the file itself may be asked for."""
    context = browser.new_context(offline=True)
    asked: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    opened = context.new_page()
    opened.goto((folder / "index.html").as_uri())
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [(folder / "index.html").as_uri()]
    assert complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_is_wrong_for_axe_and_nothing_scrolls_sideways(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert overflow(page) <= 0
    assert violations(page) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert overflow(page) <= 0


def test_the_portals_policy_lets_all_of_it_through(browser: Browser, html: str) -> None:
    """As /compare/report serves it: its style, its font and its pictures, and no script."""
    address = "http://portico.test/compare/report"
    with browser.new_context() as context:
        page, complaints = context.new_page(), []
        page.on("console", lambda message: complaints.append(message.text))
        headers = {"content-type": "text/html", "content-security-policy": CONTENT_SECURITY_POLICY}
        page.route("**/*", lambda route: route.fulfill(body=html, headers=headers))
        page.goto(address)
        assert page.evaluate("document.fonts.ready.then(() => [...document.fonts].map((one) => one.status))") == ["loaded"]
        assert page.evaluate("[...document.images].every((one) => one.naturalWidth)")
        assert page.evaluate("document.querySelector('a[href=\"report.json\"]').href") == address + ".json"
        assert complaints == []


def test_paper_is_light_and_has_no_links_to_press(page: Page) -> None:
    page.set_viewport_size({"width": 720, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.get_by_role("navigation").is_visible()
    assert overflow(page) <= 0
    assert page.locator("#found details").first.locator("code, img, p").first.is_visible(), "what was found is shut on paper"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_every_picture_is_drawn(page: Page) -> None:
    assert page.evaluate("[...document.images].length") > 40
    assert page.evaluate("[...document.images].filter((one) => !one.complete || !one.naturalWidth || !one.alt).length") == 0


def test_the_page_is_one_file_of_a_bearable_size_without_a_script(html: str) -> None:
    assert len(html) < 6_000_000
    assert "<script" not in html
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]{1,80})', html)) == {"report.json"}
    assert "url(http" not in html


def test_the_figures_stand_in_the_table_with_their_threshold_and_a_word_for_the_mark(page: Page) -> None:
    row = page.get_by_role("table", name="All figures").get_by_role("row", name=re.compile("^Total blocking time"))
    cells = row.get_by_role("cell")
    texts = [text.replace(SPACE, " ") for text in cells.all_inner_texts()]
    assert texts[0].split() == ["at", "most", "200", "ms", "Lighthouse"]
    assert texts[2].split() == ["1,180", "ms", "1,109–1,251"]
    row = page.get_by_role("table", name="All figures").get_by_role("row", name=re.compile("^Largest contentful paint"))
    texts = [text.replace(SPACE, " ") for text in row.get_by_role("cell").all_inner_texts()]
    assert texts[2].split()[-2:] == ["13.5×", "control"]
    assert cells.nth(2).get_by_role("img", name="not good").count() == 1
    assert cells.nth(1).get_by_role("img", name="good", exact=True).count() == 1


def test_what_could_not_be_taken_says_why(page: Page) -> None:
    row = page.get_by_role("table", name="All figures").get_by_role("row", name=re.compile("^Lighthouse performance, mobile"))
    assert row.get_by_role("cell").last.inner_text() == "could not be taken: Lighthouse gave up: the page never came to rest."


def test_one_reason_for_several_lacks_is_said_once(tmp_path: Path) -> None:
    report, why = made_up(tmp_path), "The browser waited in vain: " + "for a button " * 20
    for figure in report["figures"]:
        if figure["subject"] == "gradio-stock" and figure["metric"].startswith("echo"):
            figure |= {"values": [], "median": None, "low": None, "high": None, "good": None, "why": why}
    page = render(report, tmp_path / "pictures")
    assert page.count(why) == 1
    assert "<b>Gradio, stock</b>: own message visible and own message visible on a slow CPU. The browser waited in vain" in page


def test_a_chart_has_its_figures_in_words(page: Page) -> None:
    chart = page.get_by_role("img", name=re.compile("^Blocking time, mobile: Control page 0"))
    words = (chart.get_attribute("aria-label") or "").replace(SPACE, " ")
    assert "Gradio, stock 1,180 ms (1,109–1,251), not good" in words
    assert words.endswith("Good is at most 200 ms.")
    assert chart.locator("rect").count() == len(SUBJECTS)


def test_a_chart_says_where_a_bar_could_not_be_taken(page: Page) -> None:
    chart = page.get_by_role("img", name=re.compile("^Lighthouse, mobile: "))
    assert chart.locator("rect").count() == len(SUBJECTS) - 1
    assert chart.get_by_text("could not be taken").count() == 1


def test_the_story_shows_each_failure_once_with_a_picture_or_says_that_there_is_none(page: Page) -> None:
    row = page.get_by_role("table", name="The story").get_by_role("row", name=re.compile("^Scroll up"))
    assert [one.strip() for one in row.get_by_role("cell").all_inner_texts()] == ["yes", "no", "in 1 of 3", "yes", "yes"]
    failures = page.locator("#story figure")
    assert failures.count() == 7
    assert page.locator("#story figure .missing").count() == 1  # the control page's


def test_the_json_is_what_went_in(folder: Path, tmp_path: Path) -> None:
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == json.loads(json.dumps(made_up(tmp_path)))


def test_a_report_of_another_schema_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="schema 9"):
        write({**made_up(tmp_path), "schema": 9}, tmp_path)
    assert not (tmp_path / "report.json").exists()


def test_an_empty_run_makes_a_page_too(tmp_path: Path) -> None:
    """Ctrl+C after a second leaves as little."""
    report: dict[str, Any] = {
        **made_up(tmp_path),
        "metrics": [],
        "figures": [],
        "steps": [],
        "pictures": [],
        "notes": [],
        "machine": {},
    }
    page = render(report, tmp_path)
    for said in ("Nothing that has a threshold could be taken.", "The story was not played", "No pictures were taken"):
        assert said in page
    assert summary_markdown({**report, "subjects": []}).startswith("No pushed frontend was measured")


def test_what_a_page_said_is_escaped(tmp_path: Path) -> None:
    report = made_up(tmp_path)
    for figure in report["figures"]:
        figure["why"] = figure["why"] and "<script>alert(1)</script>"
        figure["found"] = ["<script>alert(2)</script>"] if figure["good"] is False else []
    report["subjects"][1]["title"] = 'Gra"dio<script>, stock'
    assert "<script" not in render(report, tmp_path)


def test_the_summary_for_the_readme_is_a_table_beneath_the_headline(tmp_path: Path) -> None:
    headline, empty, head, line, *rows = summary_markdown(made_up(tmp_path)).splitlines()
    assert headline.startswith("The ceiling is ")
    assert (empty, head.count("|"), line.count("|")) == ("", 8, 8)
    assert 10 <= len(rows) <= 12
    assert all(row.count("|") == 8 for row in rows)
    cells = [
        "",
        "Lighthouse, mobile",
        "at least 90 of 100",
        "✓ 99 of 100",
        "✗ **51 of 100**",
        "✗ **62 of 100**",
        "✗ **41 of 100**",
    ]
    assert [cell.strip() for cell in rows[0].split("|")] == [*cells, "not taken", ""]


def test_many_pictures_are_made_smaller(tmp_path: Path) -> None:
    Image.effect_noise((1280, 400), 90).convert("RGB").save(tmp_path / "noise.png")
    large = album(tmp_path, ["noise.png", "nowhere.png", ""])
    assert list(large) == ["noise.png"]
    small = album(tmp_path, ["noise.png"], budget=40_000)["noise.png"]
    assert small.width < large["noise.png"].width == 1280
    assert len(small.uri) < len(large["noise.png"].uri)


def test_a_picture_outside_the_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    assert album(tmp_path / "pictures", ["../secret.png"]) == {}


def test_each_metric_has_a_name_for_sentences() -> None:
    assert {metric.id for metric in METRICS} <= set(NAMES)
