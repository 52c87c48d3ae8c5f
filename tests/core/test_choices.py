"""Choices that come and go while a page is open: what was chosen is never answered by another without a word."""

from __future__ import annotations

import pytest

from core.tasks import Field
from core.tasks.choices import ChoiceGone, current, fitting
from core.types import Kind

TONE = Field("tone", Kind.CHOICE, "Tone", default="dry", choices=("dry", "warm"))
SEED = Field("seed", Kind.NUMBER, "Seed", minimum=0, maximum=9, step=1, optional=True)
DRAWN = {"tone": TONE, "seed": SEED}


@pytest.mark.parametrize(
    ("given", "now", "kept"),
    [
        ({"tone": "warm", "seed": 7}, DRAWN, {"tone": "warm", "seed": 7}),
        ({"tone": None, "seed": None}, DRAWN, {"seed": None}),  # an empty seed is meant so; a choice that was not made is not
        ({"tone": "warm", "seed": 7}, {"seed": SEED}, {"tone": "warm", "seed": 7}),  # it is the only one now, or it is refused
        ({"tone": None, "seed": 7}, {"seed": SEED}, {"seed": 7}),
    ],
)
def test_what_still_fits_is_kept(given: dict[str, object], now: dict[str, Field], kept: dict[str, object]) -> None:
    assert current(given, now) == kept  # type: ignore[arg-type]


def test_a_choice_that_is_gone_is_refused_with_what_follows_from_it() -> None:
    now = {"tone": Field("tone", Kind.CHOICE, "Tone", default="dry", choices=("dry", "x"))}
    with pytest.raises(
        ChoiceGone, match=r"^warm is not there any more, so another tone is chosen now\. Send it again"
    ) as refused:
        current({"tone": "warm"}, now)
    assert refused.value.field == "tone"


@pytest.mark.parametrize(
    ("value", "shown", "said"),
    [
        ("warm", "warm", ""), ("dry", "dry", ""), (None, "dry", ""),
        ("harsh", "dry", "harsh is not there any more. dry is chosen in its place."),
    ],
)  # fmt: skip
def test_an_old_choice_that_is_gone_falls_back_with_a_sentence(value: str | None, shown: str, said: str) -> None:
    assert fitting(TONE, value) == (shown, said)
