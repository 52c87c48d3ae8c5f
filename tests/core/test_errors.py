"""The words of errors that reach a screen."""

from __future__ import annotations

import logging

import pytest

from core.errors import Busy, QuotaUsed, failed_of
from core.types import Failed


def test_a_guest_of_one_question_is_told_so_in_good_english() -> None:
    assert QuotaUsed(1).message.startswith("You have asked the one question that your invitation allows.")
    assert QuotaUsed(2).message.startswith("You have asked all 2 questions that your invitation allows.")


def test_the_end_of_a_run_says_when_to_try_again_where_that_is_known() -> None:
    message = "The model is busy: 64 requests are waiting already. Try again in 13 s."
    assert failed_of(Busy(64, 12.3)) == Failed(message, "busy", 12.3)
    assert failed_of(Busy(64)).retry_s is None
    assert Busy(1).message == "The model is busy: 1 request is waiting already. Try again in a minute."
    assert failed_of(QuotaUsed(2)).code == "quota_used"


def test_the_end_of_a_run_that_an_unforeseen_error_ended_is_an_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        failed = failed_of(RuntimeError("secret"))
    assert (failed.code, failed.retry_s) == ("internal", None)
    assert "Something went wrong on the server (error " in failed.message
    assert "secret" not in failed.message
