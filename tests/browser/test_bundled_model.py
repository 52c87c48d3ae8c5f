"""The first thing a newcomer meets: the bundled model, from the link to an answered question."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from app import EXAMPLES
from core.settings import FRONTENDS
from tests.browser.conftest import driver
from tests.support.serve import Served


def test_a_newcomer_gets_right_answers_in_both_frontends(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Served(tmp_path_factory.mktemp("new"), pace=None) as served:
        context = browser.new_context()
        page = context.new_page()
        page.goto(served.link)
        page.get_by_role("button", name="Sign in").click()
        served.wait_ready()
        for name in FRONTENDS:
            chat = driver(name).open(page, served.url, "new")
            chat.choose_example("What is 348 + 275?")
            chat.wait_until_done()
            assert "623" in chat.last_answer()
            assert "tok/s" in chat.stats()
            chat.send("How do I use my own model?")
            chat.wait_until_done()
            assert "--model" in chat.last_answer()
            chat.send("What is the capital of France?")
            chat.wait_until_done()
            assert "know" in chat.last_answer()
        assert "What is 348 + 275?" in EXAMPLES
        context.close()
