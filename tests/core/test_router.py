"""Several models behind one engine: which one answers, who leaves for whom, and every race between the two."""

from __future__ import annotations

import gc
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from core.engine.base import Request
from core.engine.room import Found
from core.engine.router import MAX_WAITING, PAUSE_S, Router
from core.errors import ModelError, ModelNotFound, ModelTooLarge, UserError
from core.types import Delta, Event, Failed, Finished, Message, Queued, SamplingParams
from tests.support.clock import Clock, wait_until
from tests.support.races import race
from tests.support.source import ScriptedSource

numbers = itertools.count()


class Asked:
    """A request and the events that came."""

    def __init__(self, router: Router, model: str = "", message: str = "hi", send: bool = True, user: str = "ada") -> None:
        self.router, self.events = router, list[Event]()
        self.request = Request(f"r{next(numbers)}", user, (Message("user", message),), SamplingParams(max_tokens=4000), model)
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
    """A router over a source, with the named models started, the first of them the default; none is kept for long."""
    made: list[Router] = []

    def start(source: Any, *names: str, budget: int = 0, base: int = 0, keep_s: float = 0, clock: Any = time.monotonic) -> Router:
        router = Router(source, budget, base, keep_s, clock)
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


def leaving(router: Router, name: str) -> None:
    """Wait until that model takes no more, since another waits for its room."""
    wait_until(lambda: router._models[name].yields)


def test_who_asks_for_a_model_without_room_waits_for_those_before_and_nobody_gets_in_after(make: Make) -> None:
    source = ScriptedSource(pace_s=0.002, a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    running = Asked(router, "a", "long").wait_text()
    waiting = Asked(router, "b")
    leaving(router, "a")
    after = Asked(router, "a", "later", user="bo")
    assert [waiting.events, after.events] == [[Queued(0, loading=True)]] * 2
    assert states(router) == {"a": "ready", "b": "getting"}
    with pytest.raises(UserError, match="'b' is not loaded"):
        router.unload("b")
    running.cancel()
    assert waiting.text == "b: hi"
    assert after.text == "a: later", "it comes back for those who wait for it"
    assert [reference for reference, _ in source.loads] == ["a", "b", "a"]
    assert router.busy == 0


def test_a_model_that_nobody_waits_to_replace_any_more_stays(make: Make) -> None:
    source = ScriptedSource(pace_s=0.002, a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    running = Asked(router, "a", "long").wait_text()
    waiting = Asked(router, "b")
    leaving(router, "a")
    after = Asked(router, "a", "later")
    waiting.cancel()
    waiting.end()
    wait_until(lambda: len(after.events) > 1, what="the engine's word")
    running.cancel()
    assert after.text == "a: later"
    assert [reference for reference, _ in source.loads] == ["a"]
    assert states(router) == {"a": "ready", "b": "unloaded"}
    assert names(router) == ["a", "b"]


def test_two_models_that_are_asked_in_turn_do_not_take_turns_at_every_question(make: Make) -> None:
    clock = Clock()
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000, keep_s=10, clock=clock)
    assert Asked(router, "b").text == "b: hi"
    waiting = Asked(router, "a", user="bo")
    wait_until(lambda: router._room._line)
    for _ in range(5):
        assert Asked(router, "b").text == "b: hi"
    assert not waiting.ends, "b was brought a moment ago, so it stays for a while"
    clock.now += 9
    assert Asked(router, "b").text == "b: hi"
    assert not waiting.ends
    clock.now += 1.5
    Asked(router, "b")  # its end is when the router looks again; it would by itself, by the clock
    assert waiting.text == "a: hi"
    assert [reference for reference, _ in source.loads][:3] == ["a", "b", "a"]


def test_one_persons_requests_leave_room_for_others_to_wait(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    theirs = [Asked(router, "b") for _ in range(MAX_WAITING // 4 + 1)]
    assert "16 requests of yours are waiting" in theirs[-1].failure
    other = Asked(router, "b", user="bo")
    source.gate.set()
    assert other.text == "b: hi"
    assert all(one.text == "b: hi" for one in theirs[:-1])


def test_what_could_not_be_loaded_again_is_tried_again_after_a_pause(make: Make) -> None:
    clock = Clock()
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000, clock=clock)
    source.broken["b"] = ModelError("The file /srv/models/b is damaged. Raise --memory.")
    first = Asked(router, "b")
    assert first.failure == "'b' could not be loaded. Try again in 10 s, or choose another model, or tell an admin."
    assert isinstance(first.ends[0], Failed)
    assert (first.ends[0].code, first.ends[0].retry_s) == ("busy", PAUSE_S)
    assert "/srv/models/b" in router.entries()[1].error, "an admin reads why"
    source.broken.clear()
    clock.now += 4
    assert "Try again in 6 s" in Asked(router, "b").failure
    assert names(router) == ["a", "b"], "it is asked again by who waits a little"
    clock.now += 6
    assert Asked(router, "b").text == "b: hi"


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
    with pytest.raises(UserError, match="'a' is the default"):
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
    assert [one.events for one in waiting] == [[Queued(place, loading=True)] for place in range(3)]
    assert router.busy == 3
    waiting[1].cancel()
    ended = waiting[1].end()
    assert isinstance(ended, Finished)
    assert ended.reason == "cancelled"
    source.gate.set()
    assert [waiting[0].text, waiting[2].text] == ["b: one", "b: three"]
    assert source.asked == ["one", "three"], "the engine never heard of the one that left"
    assert router.busy == 0


def test_a_queue_for_a_model_that_comes_is_bounded(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    waiting = [Asked(router, "b", user=f"user {number % 5}") for number in range(MAX_WAITING + 1)]
    assert "busy: 64 requests are waiting" in waiting[-1].failure
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


def test_a_row_is_taken_off_the_list_if_it_stands_for_nothing_that_is_loaded(make: Make) -> None:
    source = ScriptedSource(a=1, b=1, c=1)
    router = make(source, "a", "b", "c")
    source.broken["d"] = ModelError("d is damaged.")
    source.weights["d"] = 1
    router.load("d")
    wait_until(lambda: states(router)["d"] == "failed")
    router.unload("c")
    with pytest.raises(UserError, match="'b' is loaded, or on its way"):
        router.forget("b")
    with pytest.raises(UserError, match="'a' is the default"):
        router.forget("a")
    router.forget("c")
    router.forget("d")
    assert states(router) == {"a": "ready", "b": "ready"}
    with pytest.raises(UserError, match="no model named 'c'"):
        router.forget("c")
    assert "'c' is not loaded" in Asked(router, "c").failure
    loaded(router, "c")
    assert Asked(router, "c").text == "c: hi"


def test_admins_have_two_models_loaded_at_a_time(make: Make) -> None:
    source = ScriptedSource(a=600, b=600, c=1, d=1, e=1)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    waiting = Asked(router, "b")  # what a question brings does not count
    router.load("c")
    router.load("d")
    with pytest.raises(UserError, match="2 models are being loaded already"):
        router.load("e")
    assert router.load("c").state == "getting", "a second press is no third"
    assert list(states(router)) == ["a", "b", "c", "d"]
    source.gate.set()
    assert waiting.text == "b: hi"
    wait_until(lambda: [states(router)[name] for name in "cd"] == ["ready", "ready"])
    loaded(router, "e")


def test_a_name_that_failed_and_is_used_for_another_model_has_its_size(make: Make) -> None:
    source = ScriptedSource(a=1, b=500, c=5)
    router = make(source, "a", budget=1000)
    source.broken["b"] = ModelError("b is damaged.")
    router.load("b", "x")
    wait_until(lambda: states(router)["x"] == "failed")
    source.gate.clear()
    assert router.load("c", "x").needs == 5
    source.gate.set()


def test_what_cannot_be_found_at_the_start_goes_by_its_last_part(make: Make) -> None:
    router = make(ScriptedSource(a=1), "a", "/srv/private/none")
    assert states(router) == {"a": "ready", "none": "failed"}


def test_an_engine_that_cannot_be_closed_keeps_nobody_from_its_room(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    close = source.engines["a"].close

    def failing() -> None:
        close()
        raise RuntimeError("the GPU fell off")

    source.engines["a"].close = failing  # type: ignore[method-assign]
    assert Asked(router, "b").text == "b: hi"
    assert Asked(router, "a").text == "a: hi"


def test_a_request_that_an_engine_cannot_take_ends_alone(make: Make) -> None:
    source = ScriptedSource(a=600, b=600)
    router = make(source, "a", "b", budget=1000)
    source.gate.clear()
    waiting = [Asked(router, "b", message) for message in ("bad", "good")]

    def choosy() -> None:
        submit = source.engines["b"].submit

        def late(request: Request, emit: Any) -> None:
            if request.messages[0].content == "bad":
                raise RuntimeError("this one cannot be taken")
            submit(request, emit)

        source.engines["b"].submit = late  # type: ignore[method-assign]

    source.loaded = choosy
    source.gate.set()
    assert "Something went wrong" in waiting[0].failure
    assert waiting[1].text == "b: good"
    assert router.busy == 0


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
