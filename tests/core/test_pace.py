from __future__ import annotations

import random

import pytest

from core.engine.pace import FIRST, LEAST, MOST, STEP_S, STRETCH, Pace


def paced(fixed: float, each: float, noise: float = 0.0) -> Pace:
    """After a hundred steps of a machine that takes `fixed` seconds a step and `each` a token."""
    pace, numbers = Pace(), random.Random(1)
    for number in range(100):
        tokens = 32 + (number % 4) * 40
        pace.observe(tokens, (fixed + each * tokens) * (1 + noise * numbers.uniform(-1, 1)))
    return pace


def test_before_anything_is_known_chunks_are_moderate() -> None:
    assert Pace().chunk(0) == Pace().chunk(9) == FIRST


def test_an_idle_machine_reads_as_much_as_its_step_time_allows() -> None:
    assert paced(0.05, 0.001).chunk(0) == pytest.approx((STEP_S - 0.05) / 0.001, abs=1)
    assert paced(0.05, 1e-6).chunk(0) == MOST
    assert paced(0.05, 0.1).chunk(0) == LEAST


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_beside_those_who_write_a_step_is_stretched_by_no_more_than_was_agreed(noise: float) -> None:
    fixed, each = 0.03, 0.001
    chunk = paced(fixed, each, noise).chunk(32)
    assert fixed + each * (32 + chunk) == pytest.approx(STRETCH * (fixed + each * 32), rel=0.02 + 2 * noise)


def test_steps_that_are_all_alike_still_give_a_chunk() -> None:
    pace = Pace()
    for _ in range(50):
        pace.observe(1, 0.02)
    assert LEAST <= pace.chunk(1) <= MOST


def test_it_follows_a_machine_that_became_slower() -> None:
    pace = paced(0.01, 0.0005)
    before = pace.chunk(0)
    for number in range(200):
        tokens = 32 + (number % 4) * 40
        pace.observe(tokens, 0.01 + 0.002 * tokens)
    assert pace.chunk(0) < before / 3
