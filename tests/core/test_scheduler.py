from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine.scheduler import Scheduler, Sequence
from core.errors import Busy
from core.types import SamplingParams

END = 99


def sequence(name: str, prompt: int = 3, max_tokens: int = 5) -> Sequence:
    return Sequence(name, list(range(prompt)), SamplingParams(max_tokens=max_tokens), frozenset({END}))


def step(scheduler: Scheduler, token: int = 7) -> list[tuple[str, int]]:
    """One round of the engine's loop; what was fed, as (id, number of tokens)."""
    steps = scheduler.schedule()
    scheduler.postprocess(steps, [token if one.samples else None for one in steps])
    return [(one.sequence.id, len(one.tokens)) for one in steps]


def test_a_prompt_is_read_in_chunks_and_sampled_after_the_last() -> None:
    scheduler = Scheduler(prefill_chunk=4)
    long = sequence("long", prompt=10)
    scheduler.add(long)
    assert [step(scheduler) for _ in range(3)] == [[("long", 4)], [("long", 4)], [("long", 2)]]
    assert long.generated == [7]
    assert step(scheduler) == [("long", 1)]


def test_first_come_first_served() -> None:
    scheduler = Scheduler()
    for name in "ab":
        scheduler.add(sequence(name, max_tokens=2))
    assert [step(scheduler)[0][0] for _ in range(4)] == ["a", "a", "b", "b"]
    assert scheduler.schedule() == []


def test_an_end_token_and_the_limit_end_a_sequence() -> None:
    scheduler = Scheduler()
    ended, cut = sequence("ended"), sequence("cut", max_tokens=1)
    scheduler.add(ended)
    step(scheduler, token=END)
    assert ended.finished == "stop"
    scheduler.add(cut)
    step(scheduler)
    assert cut.finished == "length"


def test_cancel_frees_the_place_running_or_waiting() -> None:
    scheduler = Scheduler()
    for name in "abc":
        scheduler.add(sequence(name))
    step(scheduler)
    assert scheduler.cancel("a")
    assert scheduler.cancel("b")
    assert scheduler.cancel("nobody") is None
    assert step(scheduler) == [("c", 3)]


def test_what_was_cancelled_while_it_was_computed_gets_no_token() -> None:
    scheduler = Scheduler()
    scheduler.add(sequence("a"))
    steps = scheduler.schedule()
    cancelled = scheduler.cancel("a")
    scheduler.postprocess(steps, [7])
    assert cancelled is not None
    assert cancelled.generated == []
    assert cancelled.finished == "cancelled"


def test_a_full_queue_says_busy() -> None:
    scheduler = Scheduler(max_waiting=2)
    scheduler.add(sequence("a"))
    scheduler.add(sequence("b"))
    with pytest.raises(Busy, match="2 requests are waiting"):
        scheduler.add(sequence("c"))


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 8)), min_size=1, max_size=12), st.integers(1, 4), st.integers(1, 16))
def test_every_sequence_is_computed_whole_and_ends(sizes: list[tuple[int, int]], running: int, chunk: int) -> None:
    scheduler = Scheduler(max_running=running, prefill_chunk=chunk)
    sequences = [sequence(str(index), prompt, limit) for index, (prompt, limit) in enumerate(sizes)]
    for one in sequences:
        scheduler.add(one)
    for _ in range(1000):
        if not step(scheduler):
            break
    assert all(one.finished == "length" for one in sequences)
    # The last token is sampled but never read back in.
    assert [one.computed for one in sequences] == [prompt + limit - 1 for prompt, limit in sizes]
