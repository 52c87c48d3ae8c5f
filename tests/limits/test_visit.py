"""Pictures keep their round, and what breaks while it is closed costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from limits.visit import Visit
from tests.limits.test_taken import subject


class Broken:
    """A browser, its context and its page, of which nothing works but being opened."""

    def new_context(self, **_: Any) -> Broken:
        return self

    def new_page(self) -> Broken:
        return self

    def sign_in(self, page: Any) -> None:
        """As a Running does."""

    def close(self) -> None:
        raise PlaywrightError("Target closed")

    def screenshot(self, path: Path) -> None:
        raise PlaywrightError("Target crashed")


class Shown:
    def screenshot(self, path: Path) -> None:
        path.write_bytes(b"png")


def visit(folder: Path) -> Visit:
    broken = cast(Any, Broken())
    return Visit(subject("gradio-stock"), broken, broken, broken, folder, {})


def test_a_later_round_does_not_overwrite_an_earlier_ones_picture(tmp_path: Path) -> None:
    seen, page = visit(tmp_path), cast(Page, Shown())
    assert seen.picture(page, "Step: stop") == "gradio-stock-step-stop.png"
    seen.round = 3
    assert seen.proof(page, "Step: stop") == "gradio-stock-step-stop-round-3.png"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_gives_no_picture_is_told_in_words_alone(tmp_path: Path) -> None:
    assert visit(tmp_path).proof(cast(Page, Broken()), "step stop") == ""


def test_a_page_that_cannot_be_closed_loses_nothing_of_what_was_read(tmp_path: Path) -> None:
    read = []
    with visit(tmp_path).page():
        read.append(1)
    assert read == [1]
