"""Several models behind one engine: which one answers, who leaves for whom, and every race between the two."""

from __future__ import annotations

import gc
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from core.engine.base import Request
from core.engine.room import Found
from core.engine.router import MAX_WAITING, Router
from core.errors import ModelError, ModelNotFound, ModelTooLarge, UserError
from core.types import Delta, Event, Failed, Finished, Message, Queued, SamplingParams
from tests.support.clock import wait_until
from tests.support.races import race
from tests.support.source import ScriptedSource

numbers = itertools.count()


class Asked:
    """A request and the events that came."""

    def __init__(self, router: Router, model: str = "", message: str = "hi", send: bool = True) -> None:
        self.router, self.events = router, list[Event]()
        self.request = Request(f"r{next(numbers)}", "ada", (Message("user", message),), SamplingParams(max_tokens=4000), model)
        if send:
            self.send()

    def send(self) -> None:
        self.router.submit(self.request, self.events.append)

    @property
    def ends(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, Finished | Failed)]

    def end(self) -> Event:
        wait_until(lambda: self.ends, what="the end")
        assert self.events[-1] is self.ends[0]
        assert len(self.ends) == 1
        return self.ends[0]

    @property
    def text(self) -> str:
        assert isinstance(self.end(), Finished)
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def failure(self) -> str:
        failed = self.end()
        assert isinstance(failed, Failed)
        return failed.message

    def cancel(self) -> None:
        self.router.cancel(self.request.id)

    def wait_text(self) -> Asked:
        wait_until(lambda: any(isinstance(event, Delta) for event in self.events))
        return self


Make = Callable[..., Router]


@pytest.fixture
def make() -> Iterator[Make]:
    """A router over a source, with the named models started, the first of them the default."""
    made: list[Router] = []

    def start(source: Any, *names: str, budget: int = 0, base: int = 0) -> Router:
        router = Router(source, budget, base)
        made.append(router)
        router.start([("", name) for name in names])
        wait_until(lambda: all(entry.state not in ("getting", "loading") for entry in router.entries()))
        return router

    yield start
    for router in made:
        router.close()


def states(router: Router) -> dict[str, str]:
    return {entry.name: entry.state for entry in router.entries()}


def names(router: Router) -> list[str]:
    return [info.name for info in router.askable()]


def loaded(router: Router, reference: str) -> None:
    router.load(reference)
    wait_until(lambda: states(router)[reference] in ("ready", "failed", "unloaded"))
    assert states(router)[reference] == "ready", router.entries()


def test_a_request_goes_to_the_model_that_it_names_or_to_the_default(make: Make) -> None:
    router = make(ScriptedSource(a=1, b=1), "a", "b")
    assert (router.default, router.model.name) == ("a", "a")
    assert Asked(router).text == "a: hi"
    assert Asked(router, "b").text == "b: hi"
    assert "'c' is not loaded" in Asked(router, "c").failure
    assert names(router) == ["a", "b"]
    assert router.busy == 0


def test_the_default_is_there_when_start_returns_and_the_others_come_behind(make: Make) -> None:
    source = ScriptedSource(a=1, b=1, c=1)
    source.loaded = source.gate.clear  # the first opens the door and shuts it behind itself
    router = Router(source)
    router.start([("", "a"), ("second", "b"), ("", "none"), ("", "c")])
    assert states(router)["a"] == "ready"
    assert states(router)["second"] in ("getting", "loading")
    assert states(router)["c"] == "getting", "its turn comes"
    assert names(router) == ["a"]
    source.loaded = lambda: None
    source.gate.set()
    wait_until(lambda: list(states(router).values()) == ["ready", "ready", "failed", "ready"])
    assert [reference for reference, _ in source.loads] == ["a", "b", "c"]
    assert next(entry.error for entry in router.entries() if entry.name == "none").startswith("No model at 'none'")
    router.close()


def test_a_default_that_cannot_be_loaded_raises_and_two_of_one_name_too(make: Make) -> None:
    source = ScriptedSource(a=1, b=1)
    source.broken["a"] = ModelError("a is damaged.")
    with pytest.raises(ModelError, match="damaged"):
        make(source, "a", "b")
    with pytest.raises(ModelNotFound):
        make(source, "none")
    with pytest.raises(UserError, match="one name"):
        make(source, "b", "b")
    with pytest.raises(UserError, match="named 'x' already"):
        Router(source).start([("x", "b"), ("x", "a")])


def test_loading_shows_its_progress_and_tells_of_each_change(make: Make) -> None:
    source = ScriptedSource(a=1, b=5)
    router = make(source, "a", budget=1000)
    seen: list[tuple[str, int, int, str]] = []
    router.on_change.append(lambda: seen.extend((one.state, one.done, one.total, one.unit) for one in router.entries()[1:]))
    router.on_change.append(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    source.gate.clear()
    entry = router.load("b", "mine")
    assert (entry.name, entry.reference, entry.state, entry.needs, entry.info) == ("mine", "b", "getting", 5, None)
    assert router.load("b", "mine").state in ("getting", "loading"), "the second press does nothing"
    wait_until(lambda: ("loading", 0, 3, "") in seen)
    source.gate.set()
    wait_until(lambda: seen[-1] == ("ready", 0, 0, ""))
    assert [one for one in seen if one[3] == "B"] == [("getting", 0, 7, "B"), ("getting", 7, 7, "B")]
    last = router.entries()[1]
    assert last.info is not None
    assert (last.info.name, last.needs > 5) == ("mine", True), "it is recorded by the name that people choose"
    assert [one for one, _ in source.loads] == ["a", "b"]
    assert Asked(router, "mine").text == "b: hi"


def test_what_cannot_be_loaded_says_so_at_once_and_a_failed_name_is_free(make: Make) -> None:
    source = ScriptedSource(a=1, b=1, c=1, huge=2000)
    router = make(source, "a", budget=1000)
    with pytest.raises(ModelNotFound):
        router.load("none")
    with pytest.raises(ModelTooLarge):
        router.load("huge")
    with pytest.raises(UserError, match="named 'a' already"):
        router.load("b", "a")
    with pytest.raises(UserError, match="Name a model with letters"):
        router.load("b", "a/b c")
    assert states(router) == {"a": "ready"}
    source.broken["b"] = RuntimeError("out of memory")
    router.load("b", "x")
    wait_until(lambda: states(router)["x"] == "failed")
    assert "the server's log has the details" in router.entries()[1].error
    assert names(router) == ["a"]
    source.broken.clear()
    router.load("c", "x")
    wait_until(lambda: states(router)["x"] == "ready")
    assert Asked(router, "x").text == "c: hi"


def test_the_least_recently_used_leaves_for_another_and_comes_back_when_it_is_asked(make: Make) -> None:
    source = ScriptedSource(a=300, b=300, c=300)
    router = make(source, "a", "b", budget=1000, base=100)
    assert Asked(router, "b").text
    assert Asked(router, "a").text
    loaded(router, "c")
    assert states(router) == {"a": "ready", "b": "unloaded", "c": "ready"}
    assert names(router) == ["a", "b", "c"], "it can still be asked"
    back = Asked(router, "b")
    assert back.text == "b: hi"
    assert isinstance(back.events[0], Queued)
    assert states(router) == {"a": "unloaded", "b": "ready", "c": "ready"}
    assert router.model.name == "a", "the default has left, and is still the default"
    assert Asked(router).text == "a: hi"


def test_nobody_leaves_in_vain_and_none_that_is_in_use(make: Make) -> None:
    source = ScriptedSource(pace_s=0.002, a=300, b=300, c=700)
    router = make(source, "a", "b", budget=1000)
    running = Asked(router, "a", "long").wait_text()
    router.load("c")
    wait_until(lambda: states(router)["c"] == "failed")
    assert states(router) == {"a": "ready", "b": "ready", "c": "failed"}, "b alone is not enough room, so it stays"
    assert "'a' is in use" in router.entries()[2].error
    running.cancel()
    running.end()
    loaded(router, "c")
    assert states(router)["c"] == "ready"
    running = Asked(router, "c", "long").wait_text()
    refused = Asked(router, "a")
    wait_until(lambda: refused.ends)
    assert "'c' is in use" in refused.failure
    assert isinstance(refused.ends[0], Failed)
    assert refused.ends[0].code == "busy"
    assert "a" in names(router), "it can be asked again"
    running.cancel()
    running.end()
    assert Asked(router, "a").text == "a: hi"


def test_at_the_start_nobody_leaves_for_another(make: Make) -> None:
    router = make(ScriptedSource(a=600, b=600), "a", "b", budget=1000)
    assert states(router) == {"a": "ready", "b": "unloaded"}
    assert names(router) == ["a", "b"]
    assert Asked(router, "b").text == "b: hi"
    assert states(router) == {"a": "unloaded", "b": "ready"}


def test_memory_is_shared_fairly(make: Make) -> None:
    source = ScriptedSource(a=400, b=400)
    router = make(source, "a", "b", budget=1000, base=100)
    assert sum(entry.needs for entry in router.entries()) <= 900
    assert [reference for reference, _ in source.loads] == ["a", "b"], "both fit, since the first left room for the second"
    assert all(10 <= cache <= 50 for _, cache in source.loads), source.loads
    with pytest.raises(ModelTooLarge, match="raise --memory"):
        make(ScriptedSource(a=950), "a", budget=1000, base=100)


def test_unloading_refuses_what_is_in_use_and_the_last(make: Make) -> None:
    router = make(ScriptedSource(pace_s=0.002, a=1, b=1), "a", "b")
    running = Asked(router, "b", "long").wait_text()
    with pytest.raises(UserError, match="'b' is in use"):
        router.unload("b")
    running.cancel()
    running.end()
    router.unload("b")
    with pytest.raises(UserError, match="nothing to unload"):
        router.unload("b")
    with pytest.raises(UserError, match="the only model that is ready"):
        router.unload("a")
    assert names(router) == ["a"], "an admin's word stands: it does not come back by itself"
    assert "'b' is not loaded" in Asked(router, "b").failure
    loaded(router, "b")
    assert Asked(router, "b").text == "b: hi"


def test_who_waits_for_a_model_can_leave_and_is_told_if_it_does_not_come(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    waiting = [Asked(router, "b", message) for message in ("one", "two", "three")]
    assert [one.events for one in waiting] == [[Queued(0)], [Queued(1)], [Queued(2)]]
    assert router.busy == 3
    waiting[1].cancel()
    ended = waiting[1].end()
    assert isinstance(ended, Finished)
    assert ended.reason == "cancelled"
    source.gate.set()
    assert [waiting[0].text, waiting[2].text] == ["b: one", "b: three"]
    assert source.asked == ["one", "three"], "the engine never heard of the one that left"
    source.broken["a"] = ModelError("a is damaged.")
    assert Asked(router, "a").failure == "a is damaged."
    assert names(router) == ["b"]
    assert router.busy == 0


def test_a_queue_for_a_model_that_comes_is_bounded(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    waiting = [Asked(router, "b") for _ in range(MAX_WAITING + 1)]
    assert "busy" in waiting[-1].failure
    wait_until(lambda: states(router)["b"] == "loading")
    router.close()
    assert all("server stopped" in one.failure for one in waiting[:-1])
    assert "shutting down" in Asked(router, "b").failure
    source.gate.set()
    wait_until(lambda: "b" in source.engines)  # what nobody waits for any more is closed at once
    refused: list[Event] = []

    def closed() -> bool:
        source.engines["b"].submit(waiting[0].request, refused.append)
        return any(isinstance(event, Failed) for event in refused)

    wait_until(closed)
    assert "shutting down" in Asked(router, "a").failure
    with pytest.raises(UserError, match="shutting down"):
        router.load("b")


def test_a_cancel_in_the_midst_of_the_end_changes_nothing(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    second = Asked(router, "b", send=False)
    router.submit(Asked(router, "b", send=False).request, lambda event: second.cancel() if isinstance(event, Failed) else None)
    second.send()
    router.close()
    assert "server stopped" in second.failure
    source.gate.set()


def test_a_cancel_that_overtakes_its_request_on_the_way_to_the_engine_is_not_lost(make: Make) -> None:
    source = ScriptedSource(pace_s=0.002, a=1)
    router = make(source, "a")
    asked = Asked(router, "a", "long", send=False)
    engine = source.engines["a"]
    submit = engine.submit

    def late(request: Request, emit: Any) -> None:
        asked.cancel()
        submit(request, emit)

    engine.submit = late  # type: ignore[method-assign]
    asked.send()
    ended = asked.end()
    assert isinstance(ended, Finished)
    assert ended.reason == "cancelled"


@pytest.mark.parametrize("attempt", range(20))
def test_a_model_that_was_chosen_to_leave_gets_no_request(make: Make, attempt: int) -> None:
    """Whichever comes first, the request is answered: by the model that stays for it, or that comes back."""
    router = make(ScriptedSource(a=600, b=600), "a", "b", budget=1000)
    asked = Asked(router, "a", send=False)
    work = iter([asked.send, lambda: router.load("b")])
    race(lambda: next(work)())
    assert asked.text == "a: hi"


@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once_ends_every_request_exactly_once(make: Make, seed: int) -> None:
    """Four threads ask and cancel, one loads and unloads, until it is all closed in their midst."""
    router = make(ScriptedSource(a=300, b=300, c=300, d=300), "a", "b", "c", "d", budget=1000)
    everything, over, most = list[Asked](), threading.Event(), [0]

    def work(chance: random.Random) -> None:
        while not over.is_set():
            asked = Asked(router, chance.choice("abcd"), chance.choice(["hi", "long"]))
            everything.append(asked)
            if chance.random() < 0.7 or asked.request.messages[0].content == "long":
                over.wait(chance.random() * 0.01)
                asked.cancel()

    def swap(chance: random.Random) -> None:
        while not over.is_set():
            with suppress(UserError):
                (router.load if chance.random() < 0.5 else router.unload)(chance.choice("abcd"))
            most[0] = max(most[0], sum(one.needs for one in router.entries() if one.state in ("ready", "loading")))
            over.wait(0.001)

    threads = [threading.Thread(target=work, args=(random.Random(10 * seed + number),)) for number in range(4)]
    threads.append(threading.Thread(target=swap, args=(random.Random(10 * seed + 9),)))
    for thread in threads:
        thread.start()
    over.wait(1.0)
    router.close()
    over.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert 0 < most[0] <= 1000, "never is more loaded than the budget allows"
    ends = [asked.end() for asked in everything]
    assert {type(end) for end in ends} == {Finished, Failed}
    assert router.busy == 0


def test_a_model_that_fails_half_read_gives_its_memory_back(make: Make) -> None:
    size = 200_000_000
    source, router = Weights(size), make(ScriptedSource(a=1), "a", budget=int(2.5 * size))
    router._source = source
    source.error = ValueError("not a number")
    process = psutil.Process()
    before = process.memory_info().rss
    router.load("b")
    wait_until(lambda: states(router)["b"] == "failed")
    wait_until(lambda: process.memory_info().rss < before + 0.1 * size, what="the memory")


class Weights:
    """A source of models that really take memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.error: Exception | None = None

    def identify(self, reference: str) -> tuple[str, str, int]:
        return reference, reference, self.size

    def find(self, reference: str, report: Any) -> Found:
        def load(cache_bytes: int, report: Any) -> Any:
            weights = [bytes(1000) for _ in range(self.size // 1000)]
            if self.error:
                try:
                    raise self.error
                except ValueError as error:
                    raise ModelError("b could not be loaded.") from error
            engine: Any = ScriptedSource(**{reference: 1}).find(reference, report).load(0, report)
            engine.weights, engine.cycle = weights, engine  # models have cycles, too
            return engine

        return Found(load, self.size)


def test_what_leaves_gives_its_memory_back_also_after_a_freeze(make: Make) -> None:
    size = 200_000_000
    router = make(Weights(size), "a", "b", budget=int(2.5 * size))
    gc.freeze()  # as the server does when all is loaded
    try:
        process = psutil.Process()
        before = process.memory_info().rss
        router.unload("b")
        assert before - process.memory_info().rss > 0.9 * size
        loaded(router, "b")
        loaded(router, "c")
        assert process.memory_info().rss < before + 0.1 * size, "one has left for the third"
    finally:
        gc.unfreeze()
