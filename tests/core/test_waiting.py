"""The place in the queue, in the words that both frontends show."""

from __future__ import annotations

import math

import pytest

from core.types import Queued
from core.waiting import place


@pytest.mark.parametrize(
    ("position", "eta_s", "words"),
    [
        (2, 12.0, "2 ahead of you, about 12 s"),
        (1, 11.2, "1 ahead of you, about 12 s"),
        (1, 0.0, "1 ahead of you, about 1 s"),
        (0, None, "You are next"),
        (0, 4.0, "You are next, about 4 s"),
        (3, None, "3 ahead of you"),
        (3, 59.4, "3 ahead of you, about 1 min"),
        (3, 100.0, "3 ahead of you, about 2 min"),
        (60, 3600.0, "60 ahead of you, about 60 min"),
        (1, math.inf, "1 ahead of you"),
        (1, math.nan, "1 ahead of you"),
    ],
)
def test_the_words(position: int, eta_s: float | None, words: str) -> None:
    assert place(Queued(position, eta_s)) == words


def test_who_waits_for_a_model_is_told_so() -> None:
    assert place(Queued(0, loading=True)) == "Waiting for the model to be loaded"
    assert place(Queued(2, loading=True)) == "Waiting for the model to be loaded, 2 ahead of you"
