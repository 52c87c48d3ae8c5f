"""The words of errors that reach a screen."""

from __future__ import annotations

from core.errors import QuotaUsed


def test_a_guest_of_one_question_is_told_so_in_good_english() -> None:
    assert QuotaUsed(1).message.startswith("You have asked the one question that your invitation allows.")
    assert QuotaUsed(2).message.startswith("You have asked all 2 questions that your invitation allows.")
