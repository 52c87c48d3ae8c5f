from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from core.engine import LocalEngine, Request
from core.engine.scheduler import Scheduler
from core.types import Delta, Event, Failed, Finished, Message, Queued, SamplingParams, Started
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


class Asked:
    """A submitted request and its events."""

    def __init__(self, engine: LocalEngine, name: str, message: str = "hi", **params: object) -> None:
        self.events: list[Event] = []
        self.done = threading.Event()
        request = Request(name, "ada", (Message("user", message),), SamplingParams(**params))  # type: ignore[arg-type]
        engine.submit(request, self.emit)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Finished | Failed):
            self.done.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    def wait(self) -> Event:
        assert self.done.wait(10), "the run did not end"
        return self.events[-1]


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
    assert second.events[0] == Queued(1, None)
    assert [event.position for event in third.events if isinstance(event, Queued)] == [2, 1]
    estimates = [event.eta_s for event in third.events if isinstance(event, Queued)]
    assert estimates[-1] is not None
    assert estimates[-1] > 0


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


def test_closing_ends_every_run_and_refuses_new_ones(make_engine: MakeEngine) -> None:
    engine = make_engine(ScriptedRunner(["a"] * 1000, pace_s=0.005))
    running, waiting = Asked(engine, "a"), Asked(engine, "b")
    engine.close()
    for asked in (running, waiting):
        end = asked.wait()
        assert isinstance(end, Failed)
        assert "The server stopped" in end.message
    assert isinstance(Asked(engine, "c").wait(), Failed)
