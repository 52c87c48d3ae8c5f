"""The memory that several models share: they come into it one at a time, in line, and leave it for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.engine.base import Engine
from core.engine.room import Found, cache_share, give_back, least_needed
from core.engine.served import Model, Ticket
from core.errors import ModelTooLarge, NoRoom, Stopping, log


class Room:
    """The room of a Router's `models`, with its `lock`, which its methods take unless they say that it is held.

    `budget` and `base` are in bytes, as a Router has them. `left(model)` is told when a model's memory is given back, and
    `stays(ticket, engine)` of a request that waited for a model that need not leave after all; neither under the lock.
    """

    def __init__(
        self, models: Mapping[str, Model], lock: threading.Condition, budget: int, base: int, clock: Callable[[], float],
        left: Callable[[Model], None], stays: Callable[[Ticket, Engine], None],
    ) -> None:  # fmt: skip
        self.budget, self.base, self.closed = budget, base, False
        self._models, self._lock, self._clock, self._left, self._stays = models, lock, clock, left, stays
        self._line: list[Model] = []  # those whose files are there; the first of them finds room, and is read
        self._leaving = 0  # models whose memory is being given back

    @contextmanager
    def turn(self, model: Model) -> Iterator[None]:
        """Wait in line, in which only the first finds room and is read. Who was to leave for it, and is here still, stays."""
        with self._lock:
            self._line.append(model)
            self._lock.wait_for(lambda: self.closed or self._line[0] is model)
        try:
            yield
        finally:
            staying = list[tuple[Ticket, Engine]]()
            with self._lock:
                self._line.remove(model)
                for one in self._models.values():
                    one.yields = False
                    if one.engine and one.waiting:
                        staying += [(ticket, one.engine) for ticket in one.take_waiting()]
                self._lock.notify_all()
            for ticket, engine in staying:
                self._stays(ticket, engine)

    def make(self, model: Model, found: Found, evict: bool) -> int:
        """Reserve the model's memory; how much of it its key-value cache may take. To be called in its turn.

        Who was used least recently leaves for it. While someone waits for it, that is waited for; else it raises NoRoom.
        """
        least = least_needed(found)
        model.estimate = found.weights
        if self.budget and self.base + least > self.budget:
            raise ModelTooLarge(model.name, self.base + least, self.budget)
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self.closed or not self._leaving)
                if self.closed:
                    raise Stopping()
                others = [one for one in self._models.values() if one is not model]
                free = self.budget - self.base - sum(one.reserved for one in others)
                if not self.budget or least <= free:
                    return self._reserve(model, found, free, others)
                leaves = self._choose(model, least, free, others, evict)
                leaving = self.take_out(leaves, askable=True) if leaves else []
            if leaves:
                self.let_go(leaves, leaving)

    def take_out(self, model: Model, askable: bool) -> list[Engine]:
        """Make a model's engine one that no request can reach; the lock is held, and `let_go` must follow."""
        engines = [model.engine] if model.engine else []
        model.engine, model.state, model.askable, model.reserved, model.yields = None, "unloaded", askable, 0, False
        self._leaving += 1
        return engines

    def let_go(self, model: Model, leaving: list[Engine]) -> None:
        """Close the one engine in `leaving`, and drop what must be the last reference to it: then its weights can go."""
        try:
            leaving[0].close()
        except Exception:  # it is gone all the same, and others wait for its room
            log.exception("could not close the engine of %s", model.name)
        leaving.clear()
        give_back()
        with self._lock:
            self._leaving -= 1
            self._lock.notify_all()
        self._left(model)

    def _reserve(self, model: Model, found: Found, free: int, others: Sequence[Model]) -> int:
        """Take the model's share of what is free; the lock is held."""
        cache = 0
        if self.budget:
            coming = [one.estimate for one in others if one.state == "getting"]
            left = max(free - sum(coming), least_needed(found)) - found.weights
            cache = cache_share(found, left, self.budget, 1 + len(coming))
        model.state, model.progress, model.reserved = "loading", (0, 0, ""), found.weights + cache
        return cache

    def _choose(self, model: Model, least: int, free: int, others: Sequence[Model], evict: bool) -> Model | None:
        """Who leaves now; None after a wait, when there is more to be known. The lock is held. Raises NoRoom."""
        now, asked = self._clock(), bool(model.waiting)
        idle = [one for one in others if one.state == "ready" and not one.tickets]
        leaving = who_leaves(others if asked else idle if evict else (), least - free, now)
        if not leaving and any(one.state == "loading" for one in others):  # it is read, and ready or given up in a moment
            self._lock.wait()
            return None
        if not leaving:
            busy = [one.name for one in others if one.reserved and one not in idle]
            raise NoRoom(model.name, least, max(free, 0), self.budget, busy)
        if not asked:
            return leaving[0]
        kept = [one.stays_until - now for one in leaving if one.stays_until > now]
        for one in leaving:
            one.yields = one.yields or one.stays_until <= now
        if not kept and not any(one.in_use for one in leaving):
            return leaving[0]
        self._lock.wait(min(kept, default=None))
        return None


def who_leaves(models: Iterable[Model], lacking: int, now: float) -> list[Model]:
    """Of those that are ready, who is to leave so that `lacking` bytes more are free; none if all of them are not enough.

    First those that are leaving already, then the idle, then those in use; of each, those that were used least recently.
    """
    chosen, freed = list[Model](), 0
    ready = [one for one in models if one.state == "ready" and one.reserved]
    for one in sorted(ready, key=lambda one: (not one.yields, one.in_use > 0, one.stays_until > now, one.used)):
        if freed < lacking:
            chosen.append(one)
            freed += one.reserved
    return chosen if freed >= lacking else []
