from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest

from core.engine import LocalEngine
from core.engine.base import Outcome
from core.engine.scheduler import Reuse, Scheduler, Step
from core.errors import NoNumbers
from core.types import Failed, Finished, Queued, Started
from tests.support.asked import Asked
from tests.support.clock import wait_until
from tests.support.runner import ScriptedRunner

MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    made: list[LocalEngine] = []

    def make(runner: ScriptedRunner, scheduler: Scheduler | None = None) -> LocalEngine:
        made.append(LocalEngine(runner, scheduler))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_a_request_is_answered(make_engine: MakeEngine) -> None:
    asked = Asked(make_engine(ScriptedRunner(["Hel", "lo"])), "a")
    end = asked.wait()
    assert asked.text == "Hello"
    assert asked.events[0] == Started()
    assert isinstance(end, Finished)
    assert (end.reason, end.usage.tokens) == ("stop", 3)


def test_the_limit_cuts_an_answer(make_engine: MakeEngine) -> None:
    asked = Asked(make_engine(ScriptedRunner(["a"] * 50)), "a", max_tokens=7)
    end = asked.wait()
    assert isinstance(end, Finished)
    assert (end.reason, asked.text) == ("length", "aaaaaaa")


def test_prompt_and_answer_never_outgrow_the_context(make_engine: MakeEngine) -> None:
    asked = Asked(make_engine(ScriptedRunner(["a"] * 50, context=10)), "a", max_tokens=30)
    end = asked.wait()
    assert isinstance(end, Finished)
    assert end.usage.prompt_tokens + end.usage.tokens == 10


def test_those_who_wait_know_their_place(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 20, pace_s=0.01))
    first, second, third = (Asked(engine, name) for name in "abc")
    for asked in (first, second, third):
        asked.wait()
    assert second.events[0] == Queued(0, None), "next, and nothing to estimate from yet"
    assert [event.position for event in third.events if isinstance(event, Queued)] == [1, 0]
    estimates = [event.eta_s for event in third.events if isinstance(event, Queued)]
    assert estimates[-1] is not None
    assert estimates[-1] > 0


def test_the_estimate_of_those_who_wait_is_told_again_every_few_seconds() -> None:
    now = [100.0]
    engine = LocalEngine(ScriptedRunner(["a"] * 2000, pace_s=0.002), clock=lambda: now[0])
    first, second = Asked(engine, "first"), Asked(engine, "second")
    wait_until(lambda: second.events)
    for _ in range(2):
        before = len(second.events)
        now[0] += 6
        wait_until(lambda before=before: len(second.events) > before)
    assert all(event == Queued(0, None) for event in second.events)
    engine.close()
    first.wait()


def test_those_who_share_a_step_do_not_wait(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 20, pace_s=0.01, parallel=3))
    asked = [Asked(engine, name) for name in "abc"]
    for one in asked:
        one.wait()
    assert not any(isinstance(event, Queued) for one in asked for event in one.events)


def test_a_stop_string_ends_an_answer_before_it_and_frees_the_place(make_engine: MakeEngine) -> None:
    runner = ScriptedRunner(["one ", "tw", "o EN", "D three", *["more"] * 500])
    engine = make_engine(runner)
    asked = Asked(engine, "a", stop=("END", "never"))
    end = asked.wait()
    assert isinstance(end, Finished)
    assert (asked.text, end.reason) == ("one two ", "stop")
    wait_until(lambda: engine.busy == 0 and "a" in runner.released, what="its cache to be let go of")


def test_what_looked_like_a_stop_string_is_shown_at_the_end(make_engine: MakeEngine) -> None:
    asked = Asked(make_engine(ScriptedRunner(["all E", "N"])), "a", stop=("END",))
    asked.wait()
    assert asked.text == "all EN"


def test_cancel_while_running_keeps_the_text_and_tells_the_end_once(make_engine: MakeEngine) -> None:
    runner = ScriptedRunner(["a"] * 1000, pace_s=0.005)
    engine = make_engine(runner)
    asked = Asked(engine, "a")
    wait_until(lambda: len(asked.text) > 3)
    engine.cancel("a")
    end = asked.wait()
    steps = runner.steps
    assert isinstance(end, Finished)
    assert end.reason == "cancelled"
    assert len(asked.text) > 3
    after = Asked(engine, "b", max_tokens=1)
    after.wait()
    assert runner.steps <= steps + 2  # the step under way, and the one of "b"
    assert sum(isinstance(event, Finished) for event in asked.events) == 1
    wait_until(lambda: {"a", "b"} <= set(runner.released), what="the caches to be let go of, the last one too")


def test_cancel_while_waiting(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 1000, pace_s=0.005))
    Asked(engine, "a")
    waiting = Asked(engine, "b")
    engine.cancel("b")
    assert isinstance(waiting.wait(), Finished)
    assert waiting.text == ""
    engine.cancel("b")
    engine.cancel("unknown")


def test_a_failing_request_ends_alone_with_an_id_and_no_traceback(
    make_engine: MakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 5))
    bad, good = Asked(engine, "bad", "fail please"), Asked(engine, "good")
    end = bad.wait()
    assert isinstance(end, Failed)
    assert "told to fail" not in end.message
    error_id = end.message.split("(error ")[1].split(")")[0]
    assert error_id in caplog.text
    assert "told to fail" in caplog.text
    assert bad.text == "aaa"
    assert isinstance(good.wait(), Finished)
    assert good.text == "aaaaa"


def test_a_failing_request_ends_alone_in_a_batch_and_the_others_lose_nothing(make_engine: MakeEngine) -> None:
    runner = ScriptedRunner(["a"] * 8, pace_s=0.005, parallel=4)
    engine = make_engine(runner)
    good = [Asked(engine, f"good-{n}") for n in range(3)]
    bad = Asked(engine, "bad", "fail please")
    assert isinstance(bad.wait(), Failed)
    for one in good:
        assert isinstance(one.wait(), Finished)
        assert one.text == "aaaaaaaa"
    assert runner.resets >= 1


class Crowded(ScriptedRunner):
    """Has memory for two sequences in a step."""

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        if len(steps) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes.")
        return list(super().run(steps))


def test_a_step_without_memory_is_done_again_in_smaller_batches(make_engine: MakeEngine) -> None:
    engine = make_engine(Crowded(["a"] * 5, pace_s=0.002, parallel=8))
    asked = [Asked(engine, str(n)) for n in range(6)]
    for one in asked:
        assert isinstance(one.wait(), Finished)
        assert one.text == "aaaaa"


def test_one_that_has_no_memory_even_alone_is_told_so(make_engine: MakeEngine) -> None:
    class Full(ScriptedRunner):
        def run(self, steps: Sequence[Step]) -> list[Outcome]:
            raise MemoryError

    end = Asked(make_engine(Full(["a"], parallel=4)), "a").wait()
    assert isinstance(end, Failed)
    assert "no memory left" in end.message


@pytest.mark.parametrize("act", ["reuse", "release"])
def test_a_cache_that_fails_between_steps_costs_nobody_an_answer(make_engine: MakeEngine, act: str) -> None:
    class Fragile(ScriptedRunner):
        failed = False

        def fail_once(self) -> None:
            if not self.failed:
                self.failed = True
                raise MemoryError

        def release(self, sequence_id: str, keep: int = 0) -> None:
            if act == "release":
                self.fail_once()

        def reuse(self, reuse: Reuse) -> None:
            if act == "reuse":
                self.fail_once()

        def encode(self, messages: object, room: int) -> list[int]:
            super().encode(messages, room)  # type: ignore[arg-type]
            return [0] * 40

    runner = Fragile(["a"] * 5, pace_s=0.002, parallel=4)
    engine = make_engine(runner)
    for name in "abc":
        asked = Asked(engine, name)
        assert isinstance(asked.wait(), Finished)
        assert asked.text == "aaaaa"
    wait_until(lambda: runner.failed)


def test_no_numbers_end_one_sequence_and_not_its_neighbours(make_engine: MakeEngine) -> None:
    class Overflowing(ScriptedRunner):
        def run(self, steps: Sequence[Step]) -> list[Outcome]:
            outcomes: list[Outcome] = list(super().run(steps))
            return [
                NoNumbers("Scripted") if step.sequence.id == "bad" else one for step, one in zip(steps, outcomes, strict=True)
            ]

    engine = make_engine(Overflowing(["a"] * 5, pace_s=0.005, parallel=2))
    bad, good = Asked(engine, "bad"), Asked(engine, "good")
    end = bad.wait()
    assert isinstance(end, Failed)
    assert "no usable numbers" in end.message
    assert isinstance(good.wait(), Finished)


def test_a_token_that_cannot_be_decoded_ends_its_request_alone(make_engine: MakeEngine) -> None:
    class Undecodable(ScriptedRunner):
        def decoder(self) -> Callable[[int], str]:
            decode = super().decoder()
            return lambda token: decode(token) if len(self.prompts) > 1 else 1 // 0  # type: ignore[return-value]

    engine = make_engine(Undecodable(["a"] * 5))
    assert isinstance(Asked(engine, "bad").wait(), Failed)
    assert isinstance(Asked(engine, "good").wait(), Finished)


def test_a_full_queue_answers_busy(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 1000, pace_s=0.005), Scheduler(max_waiting=1))
    first = Asked(engine, "a")
    wait_until(lambda: first.text)
    Asked(engine, "b")
    end = Asked(engine, "c").wait()
    assert isinstance(end, Failed)
    assert "busy" in end.message
    assert end.code == "busy"
    engine.cancel("a")  # now it is known how long a run takes
    wait_until(lambda: engine.busy == 1)
    Asked(engine, "d")
    end = Asked(engine, "e").wait()
    assert isinstance(end, Failed)
    assert end.retry_s is not None
    assert f"Try again in {max(1, math.ceil(end.retry_s))} s" in end.message


def test_closing_ends_every_run_and_refuses_new_ones(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 1000, pace_s=0.005))
    running, waiting = Asked(engine, "a"), Asked(engine, "b")
    engine.close()
    for asked in (running, waiting):
        end = asked.wait()
        assert isinstance(end, Failed)
        assert "The server stopped" in end.message
    assert isinstance(Asked(engine, "c").wait(), Failed)
