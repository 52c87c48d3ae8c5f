from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from core.bell import Bell
from core.runs import IDLE_S, UPDATE_S, LiveRun, Runs, Stream
from core.store import Run, Store
from core.types import Delta, Event, Failed, Finished, Queued, Started, Usage
from tests.support.clock import Clock, wait_until

END = Finished(Usage(3, 2, 0.1, 0.2), "stop")


def run(name: str = "r") -> Run:
    return Run(name, "c", "ada", "chat", "m", {"message": "hi"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live() -> LiveRun:
    return LiveRun(run())


def test_the_first_text_comes_at_once_and_then_at_most_twelve_updates_a_second(live: LiveRun, clock: Clock) -> None:
    stream = Stream(live, clock=clock)
    live.emit(Delta("a"))
    assert stream.poll() == Delta("a")
    live.emit(Delta("b"))
    live.emit(Delta("c"))
    wait = stream.poll()
    assert wait == pytest.approx(UPDATE_S)
    clock.now += UPDATE_S
    assert stream.poll() == Delta("bc")


def test_all_streams_hand_out_their_text_on_the_same_beats(clock: Clock) -> None:
    """So who serves them is woken once for all. Text outside of a beat has more follow it a fifth of one later at the soonest."""
    runs, beats = [LiveRun(run()) for _ in range(40)], set[float]()
    for number, live in enumerate(runs):
        clock.now = 100.0 + number * UPDATE_S / 40
        stream = Stream(live, clock=clock)
        live.emit(Delta("a"))
        assert stream.poll() == Delta("a")
        live.emit(Delta("b"))
        wait = stream.poll()
        assert isinstance(wait, float)
        assert UPDATE_S / 5 <= wait + 1e-6 <= IDLE_S + 2e-6
        clock.now += wait
        assert stream.poll() == Delta("b")
        beats.add(round(clock.now, 6))
    assert len(beats) == 2


def test_nobody_is_woken_for_text_that_is_not_due_yet(live: LiveRun, clock: Clock) -> None:
    """From one update on, whether there was more text at once or none yet; when it is due, the next text is worth waking for."""
    rung: list[str] = []
    stream = Stream(live, clock=clock)
    live.emit(Delta("a"))
    assert stream.poll() == Delta("a")
    wait = stream.poll()
    assert isinstance(wait, float)
    stream._wake = lambda: rung.append("rung")
    live.emit(Delta("b"))
    assert not rung
    clock.now += wait
    assert stream.poll() == Delta("b")
    assert stream.poll() == pytest.approx(UPDATE_S)
    clock.now += UPDATE_S
    assert stream.poll() == pytest.approx(IDLE_S - UPDATE_S)
    live.emit(Delta("c"))
    assert rung == ["rung"]
    assert stream.poll() == Delta("c")
    assert isinstance(stream.poll(), float)
    live.emit(END)
    assert rung == ["rung"] * 2, "the end does not wait"


def test_a_consumer_may_want_fewer_ticks(live: LiveRun, clock: Clock) -> None:
    stream = Stream(live, clock=clock)
    stream.idle_s = 15
    assert stream.poll() == pytest.approx(15)
    live.emit(Delta("a"))
    assert stream.poll() == Delta("a"), "and gets its text at once all the same"


def test_an_idle_stream_ticks(live: LiveRun, clock: Clock) -> None:
    stream = Stream(live, clock=clock)
    assert stream.poll() == pytest.approx(IDLE_S)
    clock.now += IDLE_S
    assert stream.poll() == Delta("")


def test_the_end_flushes_the_text_that_waited(live: LiveRun, clock: Clock) -> None:
    stream = Stream(live, clock=clock)
    for event in (Queued(1), Started(), Delta("a"), Delta("b"), END):
        live.emit(event)
    assert list(iter_now(stream)) == [Started(), Delta("ab"), END]


def test_who_comes_back_is_shown_the_place_in_the_queue_as_it_is_now(live: LiveRun, clock: Clock) -> None:
    stream = Stream(live, clock=clock)
    live.emit(Queued(3))
    assert stream.poll() == Queued(3)
    for event in (Queued(2), Queued(1, 4.0)):
        live.emit(event)
    assert stream.poll() == Queued(1, 4.0)
    later = Stream(live, clock=clock)
    assert later.poll() == Queued(1, 4.0)
    live.emit(Started())
    assert [each.poll() for each in (stream, later, Stream(live, clock=clock))] == [Started()] * 3


def iter_now(stream: Stream) -> Iterator[Event]:
    while True:
        try:
            event = stream.poll()
        except StopIteration:
            return
        assert not isinstance(event, float)
        yield event


def test_nothing_is_taken_after_the_end(live: LiveRun) -> None:
    live.emit(END)
    live.emit(Delta("late"))
    live.emit(Failed("late"))
    assert live.snapshot().status == "finished"
    assert live.snapshot().text == ""


def test_a_late_watcher_gets_what_it_has_not(live: LiveRun) -> None:
    live.emit(Delta("hello "))
    live.emit(Delta("world"))
    live.emit(END)
    assert list(Stream(live, after=6)) == [Delta("world"), END]


def test_for_and_async_for_give_the_same(live: LiveRun) -> None:
    async def gather() -> list[Event]:
        return [event async for event in Stream(live)]

    for event in (Started(), Delta("a"), END):
        live.emit(event)
    assert list(Stream(live)) == asyncio.run(gather()) == [Started(), Delta("a"), END]


def test_a_watcher_in_another_thread_is_woken(live: LiveRun) -> None:
    seen: list[Event] = []
    stream = Stream(live)
    thread = threading.Thread(target=lambda: seen.extend(stream))
    thread.start()
    live.emit(Delta("a"))
    wait_until(lambda: Delta("a") in seen)
    live.emit(END)
    thread.join(timeout=5)
    assert seen[-1] == END


async def test_an_async_watcher_is_woken_from_another_thread(live: LiveRun) -> None:
    stream = Stream(live)
    threading.Timer(0.02, live.emit, [Delta("a")]).start()
    first = await asyncio.wait_for(anext(event async for event in stream if event != Delta("")), timeout=5)
    assert first == Delta("a")


async def test_a_step_wakes_the_loop_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, bell, calls = asyncio.get_running_loop(), Bell(), list[object]()
    called = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: (calls.append(given), called(*given))[1])
    lives = [LiveRun(run(str(number)), bell=bell) for number in range(32)]
    waiting = [asyncio.create_task(anext(Stream(live))) for live in lives]
    await asyncio.sleep(0)  # they wait
    step = threading.Thread(target=lambda: [live.emit(Delta("a")) for live in lives])
    step.start()
    step.join()
    assert await asyncio.gather(*waiting) == [Delta("a")] * 32
    assert len(calls) == 1


async def test_who_gave_up_waiting_is_not_woken_and_the_others_are(live: LiveRun) -> None:
    gone, stays = (asyncio.create_task(anext(Stream(live))) for _ in range(2))
    await asyncio.sleep(0)
    live.emit(Delta("a"))
    gone.cancel()
    assert await stays == Delta("a")
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_a_loop_that_is_closed_troubles_nobody() -> None:
    bell, closed, loop = Bell(), asyncio.new_event_loop(), asyncio.new_event_loop()
    news = closed.create_future()
    closed.close()
    bell.ring(closed, news)
    bell.ring(closed, news)
    assert not bell._news
    waiting = loop.create_future()
    bell.ring(loop, waiting)
    loop.run_until_complete(asyncio.wait_for(waiting, 5))
    loop.close()


def test_closing_a_stream_lets_go_of_the_run_which_goes_on(live: LiveRun) -> None:
    with Stream(live) as stream:
        live.emit(Delta("a"))
        assert next(stream) == Delta("a")
    assert list(stream) == []
    live.emit(Delta("b"))
    assert live.snapshot().text == "ab"
    assert not live._watchers


def test_a_long_answer_is_coalesced_whatever_its_speed(live: LiveRun, clock: Clock) -> None:
    """2,000 tokens a second for one second: the consumer gets every character in about twelve pieces."""
    stream = Stream(live, clock=clock)
    pieces: list[str] = []
    for number in range(2000):
        live.emit(Delta(f"{number} "))
        clock.now += 0.0005
        if isinstance(event := stream.poll(), Delta):
            pieces.append(event.text)
    live.emit(END)
    pieces += [event.text for event in iter_now(stream) if isinstance(event, Delta)]
    assert "".join(pieces) == "".join(f"{number} " for number in range(2000))
    assert 11 <= len(pieces) <= 15


def test_text_is_written_as_it_grows_and_the_end_at_once(any_database: Engine) -> None:
    store = Store(any_database)
    runs = Runs(store)
    live = runs.add(run(), "hi")
    live.emit(Started())
    live.emit(Delta("half an ans"))
    wait_until(lambda: stored(store).text == "half an ans", what="the text in the store")
    assert stored(store).status == "running"
    live.emit(Delta("wer"))
    live.emit(END)
    wait_until(lambda: stored(store).status == "finished")
    assert stored(store).text == "half an answer"
    assert stored(store).usage == END.usage
    assert list(itertools.islice(runs.watch("r", after=5), 5)) == [Delta("an answer"), END]
    runs.close()


def test_closing_writes_what_there_is(database: Engine) -> None:
    store = Store(database)
    runs = Runs(store)
    runs.add(run(), "hi").emit(Delta("unsaved"))
    runs.close()
    assert stored(store).text == "unsaved"


def test_an_end_that_comes_while_another_save_is_under_way_is_written_too(database: Engine) -> None:
    saving, go_on = threading.Event(), threading.Event()

    class Slow(Store):
        def save_run(self, run: Run) -> None:
            saving.set()
            go_on.wait(5)
            super().save_run(run)

    store = Slow(database)
    runs = Runs(store)
    live = runs.add(run(), "hi")
    live.emit(Delta("half"))
    assert saving.wait(5)
    live.emit(END)
    closing = threading.Thread(target=runs.close)
    closing.start()
    go_on.set()
    closing.join(10)
    assert stored(store).status == "finished"


def test_a_run_that_no_process_runs_any_more_is_replayed_as_interrupted(database: Engine) -> None:
    store = Store(database)
    store.add_run(run(), "hi")
    runs = Runs(store)
    assert isinstance(list(runs.watch("r", after=0))[-1], Failed)
    runs.close()


def test_a_run_that_cannot_be_written_is_not_kept(database: Engine) -> None:
    store = Store(database)
    runs = Runs(store)
    runs.add(run(), "hi").emit(END)
    with pytest.raises(IntegrityError):
        runs.add(run(), "the same id")
    wait_until(lambda: not runs._live)
    runs.close()


def test_a_store_that_fails_once_loses_nothing(database: Engine, caplog: pytest.LogCaptureFixture) -> None:
    class Flaky(Store):
        failures = 1

        def save_run(self, run: Run) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError("disk full")
            super().save_run(run)

    store = Flaky(database)
    runs = Runs(store)
    live = runs.add(run(), "hi")
    live.emit(Delta("kept"))
    live.emit(END)
    wait_until(lambda: stored(store).status == "finished")
    assert stored(store).text == "kept"
    assert "could not write run r" in caplog.text
    runs.close()


def stored(store: Store) -> Run:
    found = store.run("r")
    assert found is not None
    return found
