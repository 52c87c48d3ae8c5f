from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.scheduler import GOOD_STEPS, MAX_TRIES, Release, Reuse, Scheduler, Sequence
from core.errors import Busy
from core.types import SamplingParams

END = 99


def sequence(name: str, prompt: int | list[int] = 3, max_tokens: int = 5, user: str = "") -> Sequence:
    tokens = list(range(prompt)) if isinstance(prompt, int) else prompt
    return Sequence(name, tokens, SamplingParams(max_tokens=max_tokens), frozenset({END}), user or name)


def step(scheduler: Scheduler, token: int = 7) -> list[tuple[str, int]]:
    """One round of the engine's loop; what was fed, as (id, number of tokens)."""
    steps = scheduler.schedule()
    scheduler.postprocess(steps, [token if one.samples else None for one in steps])
    return [(one.sequence.id, len(one.tokens)) for one in steps]


def add(scheduler: Scheduler, *sequences: Sequence) -> None:
    for one in sequences:
        scheduler.add(one)


def test_a_prompt_is_read_in_chunks_and_sampled_after_the_last() -> None:
    scheduler = Scheduler(chunk=lambda decoding: 4)
    long = sequence("long", prompt=10)
    scheduler.add(long)
    assert [step(scheduler) for _ in range(3)] == [[("long", 4)], [("long", 4)], [("long", 2)]]
    assert long.generated == [7]
    assert step(scheduler) == [("long", 1)]


def test_sequences_join_and_leave_the_batch_at_every_step() -> None:
    scheduler = Scheduler(max_running=2)
    add(scheduler, sequence("a", max_tokens=2), sequence("b", max_tokens=3))
    assert step(scheduler) == [("a", 3), ("b", 3)]
    scheduler.add(sequence("c", max_tokens=1))
    assert step(scheduler) == [("a", 1), ("b", 1)]
    assert step(scheduler) == [("b", 1), ("c", 3)], "c took the place of a at once"
    assert scheduler.schedule() == []


def test_those_who_write_go_on_while_a_long_prompt_is_read() -> None:
    scheduler = Scheduler(max_running=3, chunk=lambda decoding: 8 if decoding else 100)
    add(scheduler, sequence("a", max_tokens=50), sequence("b", max_tokens=50))
    step(scheduler)
    scheduler.add(sequence("long", prompt=20))
    assert [step(scheduler) for _ in range(3)] == [[("a", 1), ("b", 1), ("long", size)] for size in (8, 8, 4)]


def test_short_prompts_overtake_a_long_one_that_still_gets_half() -> None:
    scheduler = Scheduler(max_running=4, chunk=lambda decoding: 10)
    add(scheduler, sequence("long", prompt=40), sequence("middle", prompt=9), sequence("short", prompt=4))
    assert step(scheduler) == [("long", 5), ("short", 4), ("middle", 1)]
    assert step(scheduler) == [("short", 1), ("long", 5), ("middle", 5)]


def test_what_the_others_do_not_need_is_the_long_ones() -> None:
    scheduler = Scheduler(max_running=4, chunk=lambda decoding: 10)
    add(scheduler, sequence("long", prompt=40), sequence("short", prompt=2))
    assert step(scheduler) == [("long", 8), ("short", 2)]


def test_one_persons_ten_requests_do_not_delay_anothers_first() -> None:
    scheduler = Scheduler(max_running=2)
    add(scheduler, *(sequence(f"ada-{n}", user="ada", max_tokens=2) for n in range(10)), sequence("bob-0", user="bob"))
    assert [one.id for one in scheduler.waiting[:3]] == ["ada-0", "bob-0", "ada-1"]
    assert step(scheduler) == [("ada-0", 3), ("bob-0", 3)]
    add(scheduler, sequence("bob-1", user="bob"), sequence("cleo-0", user="cleo"))
    assert [one.id for one in scheduler.waiting[:3]] == ["cleo-0", "ada-1", "bob-1"], "who has none running is next"


def test_one_persons_ten_do_not_delay_anothers_first_where_one_runs_at_a_time() -> None:
    scheduler = Scheduler(max_running=1)
    add(scheduler, *(sequence(f"ada-{n}", user="ada", max_tokens=1) for n in range(10)))
    assert step(scheduler) == [("ada-0", 3)]
    add(scheduler, *(sequence(f"bob-{n}", user="bob", max_tokens=1) for n in range(2)))
    assert [step(scheduler)[0][0] for _ in range(5)] == ["bob-0", "ada-1", "bob-1", "ada-2", "ada-3"]


def test_a_queue_is_bounded_for_all_and_for_each() -> None:
    scheduler = Scheduler(max_waiting=8)
    add(scheduler, sequence("ada-0", user="ada"), sequence("ada-1", user="ada"))
    with pytest.raises(Busy, match="2 requests of yours are waiting"):
        scheduler.add(sequence("ada-2", user="ada"))
    add(scheduler, *(sequence(f"other-{n}") for n in range(6)))
    with pytest.raises(Busy, match="8 requests are waiting"):
        scheduler.add(sequence("late"))


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
    add(scheduler, *map(sequence, "abc"))
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


def test_cancel_in_the_middle_of_a_prompt_frees_the_place() -> None:
    scheduler = Scheduler(chunk=lambda decoding: 4)
    add(scheduler, sequence("a", prompt=100), sequence("b"))
    assert step(scheduler) == [("a", 4)]
    scheduler.cancel("a")
    assert scheduler.take_cache_ops() == [Release("a")]
    assert step(scheduler) == [("b", 3)]


TURN = list(range(100, 140))


def test_a_conversations_next_turn_begins_with_what_was_computed_for_the_last() -> None:
    scheduler = Scheduler(max_running=2, reuse=True)
    scheduler.add(sequence("first", TURN, max_tokens=3, user="ada"))
    while step(scheduler):
        pass
    assert scheduler.take_cache_ops() == [Release("first", keep=42)], "its last token was never read"
    scheduler.add(sequence("second", [*TURN, 7, 7, 7, 50, 51], max_tokens=1, user="ada"))
    [only] = scheduler.schedule()
    [reuse] = scheduler.take_cache_ops()
    assert isinstance(reuse, Reuse)
    assert (reuse.id, reuse.source.id, reuse.source.length) == ("second", "first", 42)
    assert only.tokens == [7, 50, 51]
    scheduler.postprocess([only], [7])
    assert scheduler.take_cache_ops() == [Release("second", keep=45), Release("first")], "the longer one stands for both"


def test_a_prompt_is_shared_with_who_reads_it_now_and_one_token_is_always_computed() -> None:
    scheduler = Scheduler(max_running=2, reuse=True)
    scheduler.add(sequence("a", TURN, user="ada"))
    step(scheduler)
    scheduler.add(sequence("b", TURN, user="ada"))
    assert step(scheduler) == [("a", 1), ("b", 1)]


def test_too_little_in_common_is_computed_anew() -> None:
    scheduler = Scheduler(max_running=2, reuse=True)
    scheduler.add(sequence("a", TURN, user="ada"))
    step(scheduler)
    scheduler.add(sequence("b", [*TURN[:15], 1, 2], user="ada"))
    assert ("b", 17) in step(scheduler)


def test_kept_prefixes_give_way_first_the_least_recently_used_before_the_others() -> None:
    scheduler = Scheduler(max_running=2, reuse=True, capacity=140)
    for name in "xyz":
        scheduler.add(sequence(name, [ord(name)] * 30, max_tokens=1, user="ada"))
        step(scheduler)
    scheduler.add(sequence("x again", [ord("x")] * 31, max_tokens=1, user="ada"))
    step(scheduler)
    scheduler.take_cache_ops()
    scheduler.add(sequence("large", 100, max_tokens=1))
    step(scheduler)
    dropped = [op.id for op in scheduler.take_cache_ops() if isinstance(op, Release) and not op.keep]
    assert dropped == ["y", "z"], "x was used since"


def test_who_finds_no_room_waits_and_nobody_overtakes() -> None:
    scheduler = Scheduler(max_running=4, capacity=100)
    add(scheduler, sequence("a", 60, max_tokens=3), sequence("large", 80, max_tokens=2), sequence("small", 3))
    assert step(scheduler) == [("a", 60)]
    assert [one.id for one in scheduler.waiting] == ["large", "small"]
    step(scheduler), step(scheduler)
    assert step(scheduler) == [("large", 80), ("small", 3)]


def test_when_the_cache_is_full_the_last_to_come_goes_back_and_loses_nothing() -> None:
    scheduler = Scheduler(max_running=2, capacity=160)
    first, last = sequence("first", 10, max_tokens=80), sequence("last", 10, max_tokens=80)
    add(scheduler, first, last)
    preempted = False
    for _ in range(300):
        if not step(scheduler):
            break
        preempted |= last in scheduler.waiting and bool(last.generated)
        assert sum(one.length for one in scheduler.running) <= 160
    assert preempted
    assert (first.finished, last.finished) == ("length", "length")
    assert len(last.generated) == 80


def test_after_a_failed_step_each_runs_alone_until_the_culprit_is_found() -> None:
    scheduler = Scheduler(max_running=3)
    add(scheduler, *map(sequence, "abc"))
    steps = scheduler.schedule()
    assert scheduler.retry(steps) == []
    assert step(scheduler) == [("a", 3)]
    alone = scheduler.schedule()
    assert [one.sequence.id for one in alone] == ["b"]
    assert [one.id for one in scheduler.retry(alone)] == ["b"]
    scheduler.remove(alone[0].sequence, "stop", keep=False)
    assert step(scheduler) == [("c", 3)]
    assert step(scheduler) == [("c", 1), ("a", 4)], "what was computed of it went with the second failure, and is read again"


def test_short_of_memory_batches_become_smaller() -> None:
    scheduler = Scheduler(max_running=4)
    add(scheduler, *map(sequence, "abcd"))
    scheduler.retry(scheduler.schedule(), smaller=True)
    assert scheduler.max_running == 2
    assert [one.id for one in scheduler.running] == ["a", "b"]
    assert [one.id for one in scheduler.waiting] == ["c", "d"]
    for _ in range(1000):
        if not step(scheduler):
            break
    scheduler.add(sequence("long", max_tokens=2 * GOOD_STEPS + 9))
    while step(scheduler):
        pass
    assert scheduler.max_running == 4, "and larger again after a while"


def test_a_lack_of_memory_of_one_alone_makes_nobodys_batch_smaller() -> None:
    scheduler = Scheduler(max_running=4)
    scheduler.add(sequence("a"))
    assert [one.id for one in scheduler.retry(scheduler.schedule(), smaller=True)] == ["a"]
    assert scheduler.max_running == 4


def test_whoever_went_on_well_in_between_is_not_blamed_for_others_failures() -> None:
    scheduler = Scheduler(max_running=2)
    scheduler.add(sequence("good", max_tokens=100))
    for number in range(2 * MAX_TRIES):
        scheduler.add(sequence(f"bad-{number}"))
        assert scheduler.retry(scheduler.schedule()) == []
        assert step(scheduler)[0][0] == "good"
        [alone] = scheduler.schedule()
        assert scheduler.retry([alone]) == [alone.sequence]
        scheduler.remove(alone.sequence, "stop", keep=False)


def test_kept_prefixes_are_not_let_go_of_in_vain() -> None:
    scheduler = Scheduler(max_running=3, reuse=True, capacity=100)
    scheduler.add(sequence("kept", [1] * 30, max_tokens=1))
    step(scheduler)
    add(scheduler, sequence("runs", 60, max_tokens=5), sequence("waits", 90, max_tokens=2))
    step(scheduler)
    assert not [op for op in scheduler.take_cache_ops() if isinstance(op, Release) and not op.keep]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 8), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=12),
    st.integers(1, 4), st.integers(1, 16), st.sampled_from([49, 60, 10**6]), st.booleans(),
)  # fmt: skip
@settings(deadline=None)
def test_every_sequence_is_computed_whole_and_ends(
    sizes: list[tuple[int, int, int, int]], running: int, chunk: int, capacity: int, reuse: bool
) -> None:
    scheduler = Scheduler(running, chunk=lambda decoding: chunk, capacity=capacity, reuse=reuse, max_waiting=100)
    sequences = [sequence(str(n), prompt, limit, user=str(user)) for n, (prompt, limit, user, _) in enumerate(sizes)]
    read: dict[str, list[int]] = {}
    kept: dict[str, list[int]] = {}
    for round_ in range(3000):
        add(scheduler, *(one for one, (_, _, _, arrival) in zip(sequences, sizes, strict=True) if arrival == round_))
        steps = scheduler.schedule()
        for op in scheduler.take_cache_ops():  # as a runner does it, with token ids in place of keys and values
            if isinstance(op, Reuse):
                read[op.id] = (read.get(op.source.id) or kept[op.source.id])[: op.source.length]
                continue
            kept.pop(op.id, None)
            held = read.pop(op.id, [])
            if op.keep:
                kept[op.id] = held[: op.keep]
        assert sum(map(len, kept.values())) + sum(one.length for one in scheduler.running) <= max(capacity, 48)
        for one in steps:
            read.setdefault(one.sequence.id, []).extend(one.tokens)
            assert read[one.sequence.id] == one.sequence.read(0, one.sequence.computed + len(one.tokens))
        if not steps and round_ > 9:
            break
        scheduler.postprocess(steps, [7 if one.samples else None for one in steps])
    assert all(one.finished == "length" for one in sequences)
    assert [len(one.generated) for one in sequences] == [limit for _, limit, _, _ in sizes]
