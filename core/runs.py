"""Runs outlive the page that started them: watched by any number of Streams, written to the store as they grow."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import TracebackType

from core.bell import Bell, settle
from core.errors import Interrupted, NotFound, log
from core.store import Run, Store, now
from core.types import Delta, Event, Failed, Finished, Queued, Started, Usage

UPDATE_S = 1 / 12  # token by token, a page falls seconds behind a fast model (docs/measurements: 4.3 s at 200 tok/s)
SOONEST = 0.2  # of UPDATE_S: text that came outside of a beat is not followed by more sooner than this
IDLE_S = 0.1  # how long a consumer waits for its turn to notice a stop
SAVE_S = 0.5  # how much of an answer a crash may cost


class LiveRun:
    """A run in progress: the events so far, and who watches."""

    def __init__(self, run: Run, on_end: Callable[[], None] = lambda: None, bell: Bell | None = None) -> None:
        self.bell = bell or Bell()
        self._lock = threading.Lock()
        self._run = run
        self._on_end = on_end
        self._text: list[str] = []
        self._length = 0
        self.signals: list[Event] = []  # every event but the text
        self._watchers: set[Stream] = set()
        self._unsaved = False
        self.done = threading.Event()

    def emit(self, event: Event) -> None:
        """Book `event` and wake who waits for it. Called by the engine, from its thread."""
        with self._lock:
            if self.done.is_set():
                return
            changed = True
            if isinstance(event, Delta):
                self._text.append(event.text)
                self._length += len(event.text)
            else:
                self.signals.append(event)
                before, self._run = self._run, _advance(self._run, event)
                changed = self._run is not before
            self._unsaved |= changed
            if not self._run.live:
                self.done.set()
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher.notify(urgent=not isinstance(event, Delta))
        if self.done.is_set():
            self._on_end()

    def snapshot(self) -> Run:
        """The run as it stands."""
        with self._lock:
            return replace(self._run, text=self._joined())

    def take_unsaved(self) -> Run | None:
        """The run as it stands if it has changed since this was asked last."""
        with self._lock:
            if not self._unsaved:
                return None
            self._unsaved = False
            return replace(self._run, text=self._joined())

    def mark_unsaved(self) -> None:
        with self._lock:
            self._unsaved = True

    def text_from(self, offset: int) -> str:
        """The answer's text from character `offset` on."""
        with self._lock:
            return "" if offset >= self._length else self._joined()[offset:]

    def grown(self, offset: int) -> bool:
        """Whether there is text beyond character `offset`."""
        return self._length > offset

    def join(self, watcher: Stream) -> None:
        with self._lock:
            self._watchers.add(watcher)

    def leave(self, watcher: Stream) -> None:
        with self._lock:
            self._watchers.discard(watcher)

    def _joined(self) -> str:
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""


def _advance(run: Run, event: Event) -> Run:
    match event:
        case Started():
            return replace(run, status="running")
        case Finished(usage, reason):
            return replace(run, status="finished", usage=usage, reason=reason, finished_at=now())
        case Failed(message, _):
            return replace(run, status="failed", error=message, finished_at=now())
    return run


class Stream:
    """A run's events for one consumer, by `for` or `async for`; use it `with` or `async with`, or close it.

    The first text comes at once and then about 12 updates a second, on beats that all streams share; while nothing comes,
    `Delta("")` every `idle_s`. The last event is Finished or Failed. Closing it, or breaking off, lets go of the run, which
    goes on.
    """

    def __init__(self, run: LiveRun, after: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._offset, self._clock = run, after, clock
        self.idle_s = IDLE_S
        self._seen = 0
        self._due = self._last_turn = clock()  # `_due`: not before is there more text
        self._over = False
        self._patient = False  # text may wait; only another event is worth waking for
        self._wake: Callable[[], None] = lambda: None
        run.join(self)

    def notify(self, urgent: bool) -> None:
        """There is something new; `urgent` if it is more than text. Called from the engine's thread."""
        if urgent or not self._patient:
            self._wake()

    def poll(self) -> Event | float:
        """The next event if one is due, else in how many seconds to ask again. Raises StopIteration after the last."""
        if self._over:
            raise StopIteration
        at = self._clock()
        self._patient = False
        ended = self._run.done.is_set()  # read first: what is booked before the end is then surely seen below
        signals = self._run.signals
        while self._seen < len(signals) - 1 and isinstance(signals[self._seen], Queued):
            self._seen += 1  # a place that it has left: who comes back is shown where it is now
        if self._seen < len(signals) and not isinstance(signals[self._seen], Finished | Failed):
            self._seen += 1
            return self._turn(at, signals[self._seen - 1])
        if (at >= self._due or ended) and self._run.grown(self._offset):
            text = self._run.text_from(self._offset)
            self._offset += len(text)
            self._due = _beat_after(at)
            return self._turn(at, Delta(text))
        if ended:
            self.close()
            return self._turn(at, signals[-1])
        tick = self._last_turn + self.idle_s
        if at >= tick:
            return self._turn(at, Delta(""))
        self._patient = at < self._due
        return (min(self._due, tick) if self._patient else tick) - at

    def _turn(self, at: float, event: Event) -> Event:
        self._last_turn = at
        return event

    @property
    def over(self) -> bool:
        """Whether its last event was handed out, or it was closed."""
        return self._over

    def close(self) -> None:
        """Let go of the run."""
        self._over = True
        self._run.leave(self)
        self._wake()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        awake = threading.Event()
        self._wake = awake.set
        while isinstance(wait := self.poll(), float):
            awake.wait(wait)
            awake.clear()
        return wait

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Event:
        loop = asyncio.get_running_loop()
        try:
            while True:
                news = loop.create_future()
                self._wake = partial(self._run.bell.ring, loop, news)  # before it looks: nothing comes unnoticed in between
                if not isinstance(wait := self.poll(), float):
                    return wait
                timer = loop.call_later(wait, settle, news)
                try:
                    await news
                finally:
                    timer.cancel()
        except StopIteration:
            raise StopAsyncIteration from None
        finally:
            self._wake = lambda: None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _beat_after(at: float) -> float:
    """When the next text is due: on one of the beats of a clock that all streams share.

    So who serves many of them is woken twelve times a second, and not twelve times for each.
    """
    return math.ceil(at / UPDATE_S + SOONEST) * UPDATE_S


class Runs:
    """The runs in progress, and the thread that writes them to the store as they grow."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._live: dict[str, LiveRun] = {}
        self._unwritten: dict[str, LiveRun] = {}
        self._bell = Bell()
        self._lock = threading.Lock()
        self._closing = False
        self._due = threading.Event()
        self._saver = threading.Thread(target=self._save_loop, name="runs", daemon=True)
        self._saver.start()

    def add(self, run: Run, title: str) -> LiveRun:
        """Write `run` to the store, and keep it up to date from now on; a new conversation gets `title`."""
        live = LiveRun(run, on_end=self._due.set, bell=self._bell)
        with self._lock:  # first, so that whoever finds it in the store finds it here
            self._live[run.id] = live
        try:
            self._store.add_run(run, title)
        except Exception:
            with self._lock:
                del self._live[run.id]
            raise
        self._due.set()
        return live

    def hold(self, run: Run) -> LiveRun:
        """Keep `run` until it ends, and write nothing of it: it is found here meanwhile, and nowhere later on."""
        live = LiveRun(run, on_end=lambda: self._drop(run.id), bell=self._bell)
        with self._lock:
            self._unwritten[run.id] = live
        return live

    def find(self, run_id: str) -> Run:
        """The run as it stands, in progress or from the store; raises NotFound."""
        live = self._find_live(run_id)
        run = live.snapshot() if live else self._store.run(run_id)
        if run is None:
            raise NotFound("answer")
        return run

    def latest(self, run: Run) -> Run:
        """`run` as read from the store, brought up to date if it was in progress then."""
        return self.find(run.id) if run.live else run

    def live_of(self, user_id: str) -> list[str]:
        """The ids of a user's runs that are in progress."""
        with self._lock:
            live_runs = (*self._live.values(), *self._unwritten.values())
        return [run.id for live in live_runs if (run := live.snapshot()).user_id == user_id and run.live]

    def watch(self, run_id: str, after: int) -> Stream:
        """The run's events from character `after` of its text on; an ended run gives its text and its end."""
        return Stream(self._find_live(run_id) or _replay(self.find(run_id)), after)

    def wait(self, seconds: float) -> None:
        """Wait until every run has ended, but no longer than that."""
        deadline = time.monotonic() + seconds
        with self._lock:
            live_runs = (*self._live.values(), *self._unwritten.values())
        for live in live_runs:
            live.done.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Write what is not yet written."""
        self._closing = True
        self._due.set()
        self._saver.join(timeout=5)

    def _find_live(self, run_id: str) -> LiveRun | None:
        with self._lock:
            return self._live.get(run_id) or self._unwritten.get(run_id)

    def _drop(self, run_id: str) -> None:
        with self._lock:
            self._unwritten.pop(run_id, None)

    def _save_loop(self) -> None:
        last = False
        while not last:
            self._due.wait(SAVE_S if self._live else None)
            self._due.clear()
            last = self._closing  # read before the round that it makes the last: what ended until then is in it
            with self._lock:
                live_runs = tuple(self._live.values())
            for live in live_runs:
                self._save(live)

    def _save(self, live: LiveRun) -> None:
        run = live.take_unsaved()
        if run is None:
            return
        try:
            self._store.save_run(run)
        except Exception:  # the text stays in memory, and the next round tries again
            log.exception("could not write run %s", run.id)
            live.mark_unsaved()
            return
        if not run.live:  # only now: until the store has its end, the run is found here
            with self._lock:
                del self._live[run.id]


def _replay(run: Run) -> LiveRun:
    """An ended run as a LiveRun, so that there is one way to watch."""
    live = LiveRun(replace(run, status="running"))
    live.emit(Delta(run.text))
    if run.status == "failed" or run.live:  # one that no process is running any more
        live.emit(Failed(run.error or Interrupted().message))
    else:
        live.emit(Finished(run.usage or Usage(), run.reason or "stop"))
    return live
