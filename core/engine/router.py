"""Several models behind one Engine: each request goes to the model that it names; models come, leave and come back meanwhile."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from core.engine.base import Engine, Request
from core.engine.room import Found, cache_share, forget_frames, give_back, least_needed
from core.engine.served import Entry, Model, Source, State, Ticket
from core.errors import Busy, Interrupted, ModelError, ModelTooLarge, NoRoom, NotLoaded, Stopping, UserError, failed_of, log
from core.references import NAME
from core.types import Emit, Event, Failed, Finished, ModelInfo, Queued, SamplingParams, Usage

__all__ = ["Entry", "Router", "Source", "State"]

MAX_WAITING = 64  # requests for a model that is being loaded; its scheduler bounds the queue afterwards
CLOSE_S = 2.0


class Router:
    """An Engine over the engines of all models that are served; the first that `start` is given is the default.

    Safe from any thread. `budget` is in bytes, for the whole process, `base` of them taken by the process itself; 0 where
    memory is another machine's. No engine is ever called, and no event or change told, while `_lock` is held: engines tell events
    under a lock of their own.
    """

    def __init__(self, source: Source, budget: int = 0, base: int = 0) -> None:
        self.budget, self.base, self.default = budget, base, ""
        self.on_change: list[Callable[[], None]] = []  # called after each change but that of `busy`, from any thread; quick ones
        self._source = source
        self._models: dict[str, Model] = {}
        self._tickets: dict[str, Ticket] = {}
        self._lock = threading.Condition(threading.Lock())
        self._reading = threading.Lock()  # one model's weights are read at a time
        self._leaving = 0  # models whose memory is being given back
        self._use = itertools.count(1)
        self._closed = False

    # What a page shows and presses.

    def entries(self) -> list[Entry]:
        """The default first, then in the order they came."""
        with self._lock:
            return [model.entry for model in self._ordered()]

    def askable(self) -> list[ModelInfo]:
        """The models that a request may name, the default first: those that are ready, and those that come back when asked."""
        with self._lock:
            return [model.info or ModelInfo(model.name) for model in self._ordered() if model.askable]

    def _ordered(self) -> list[Model]:
        return sorted(self._models.values(), key=lambda model: model.name != self.default)

    def start(self, models: Sequence[tuple[str, str]]) -> None:
        """Load what the settings name, as (name or "", reference), the first of them before this returns.

        Raises what keeps the first from being loaded, and UserError where two have one name. The others follow in order, in a
        thread. One of them that has no room beside those before it stays out until it is asked.
        """
        default = self._add(*models[0])
        self.default = default.name
        added = [default, *(self._add_in_any_case(*one) for one in models[1:])]
        if len(set(added)) < len(added):
            raise UserError("Two models have one name. Name each, as in --model a=./first --model b=./second.")
        with self._lock:
            others = [model for model in added[1:] if not model.error and self._begin(model)]
        if error := self._bring(default):
            raise error
        threading.Thread(target=lambda: [self._bring(one, evict=False) for one in others], name="models", daemon=True).start()

    def load(self, reference: str, name: str = "") -> Entry:
        """Load a model in a thread, and return at once; one that is unloaded or failed is loaded again.

        Raises ModelError (no such folder, too large even alone) or UserError (another model has the name).
        """
        model = self._add(name, reference)
        with self._lock:
            begin = self._begin(model)
            entry = model.entry
        if begin:
            self._bring_behind(model)
        return entry

    def unload(self, name: str) -> None:
        """Let a model go; it stays out until it is loaded again. Raises UserError if it is in use, or the last that is ready."""
        with self._lock:
            model = self._models.get(name)
            if model is None or model.state != "ready":
                raise UserError(f"{name!r} is not loaded, so there is nothing to unload.")
            if model.tickets:
                raise UserError(f"{name!r} is in use. Unload it when its {model.tickets} running or waiting requests have ended.")
            if sum(one.state == "ready" for one in self._models.values()) == 1:
                raise UserError(f"{name!r} is the only model that is ready. Load another first.")
            leaving = self._take_out(model, askable=False)
        self._let_go(leaving)

    # The Engine.

    @property
    def model(self) -> ModelInfo:
        """The default's, also while it is out to make room."""
        default = self._models[self.default]
        return default.info or ModelInfo(default.name)

    @property
    def defaults(self) -> SamplingParams:
        """The default's own sampling parameters."""
        return self._models[self.default].defaults

    @property
    def busy(self) -> int:
        return len(self._tickets)

    def submit(self, request: Request, emit: Emit) -> None:
        model = self._models.get(request.model or self.default)
        if model is None:
            emit(failed_of(NotLoaded(request.model)))
            return
        ticket = Ticket(request, emit, model)
        with self._lock:  # from here on it can be cancelled, and its model does not leave
            self._tickets[request.id] = ticket
            model.tickets += 1
        try:
            engine = self._admit(ticket)
        except UserError as error:
            self._tell(ticket, failed_of(error))
            return
        if engine:
            self._pass_on(ticket, engine)

    def cancel(self, request_id: str) -> None:
        with self._lock:
            ticket = self._tickets.get(request_id)
            if ticket is None:
                return
            ticket.cancelled = True
            engine = ticket.model.engine if ticket.stage == "there" else None
            if waited := ticket.stage == "waiting":
                ticket.model.waiting.remove(ticket)
        if waited:
            self._tell(ticket, Finished(Usage(), "cancelled"))
        elif engine:
            engine.cancel(request_id)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            waiting = [ticket for model in self._models.values() for ticket in model.waiting]
            engines = [model.engine for model in self._models.values() if model.engine]
            for ticket in waiting:
                ticket.stage = "passing"
            for model in self._models.values():
                model.waiting, model.engine, model.askable = [], None, False
                model.state = "unloaded" if model.state == "ready" else model.state
            self._lock.notify_all()
        for ticket in waiting:
            self._tell(ticket, failed_of(Interrupted()))
        closing = [threading.Thread(target=engine.close, daemon=True) for engine in engines]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(CLOSE_S)

    # A request's way.

    def _admit(self, ticket: Ticket) -> Engine | None:
        """The engine to pass it on to; None if it was put among those that wait for the model, or has ended by now."""
        while True:
            with self._lock:
                model = ticket.model
                if self._closed:
                    raise Stopping()
                if not model.askable and model.state not in ("getting", "loading"):
                    raise NotLoaded(model.name)
                model.used = next(self._use)
                if model.engine:
                    return model.engine
                if len(model.waiting) >= MAX_WAITING:
                    raise Busy(len(model.waiting))
                ended, begin = ticket.cancelled and ticket.told, False
                if ticket.told and not ended:
                    ticket.stage = "waiting"
                    model.waiting.append(ticket)
                    begin = self._begin(model)
                position = len(model.waiting)
            if ended:
                self._tell(ticket, Finished(Usage(), "cancelled"))
                return None
            if ticket.told:
                if begin:
                    self._bring_behind(model)
                return None
            ticket.emit(Queued(position))  # before it waits: the engine's events come after this one
            ticket.told = True

    def _pass_on(self, ticket: Ticket, engine: Engine) -> None:
        engine.submit(ticket.request, partial(self._tell, ticket))
        with self._lock:
            ticket.stage = "there"
            cancelled = ticket.cancelled
        if cancelled:  # while it was on its way, when the engine did not know of it yet
            engine.cancel(ticket.request.id)

    def _tell(self, ticket: Ticket, event: Event) -> None:
        if isinstance(event, Finished | Failed):
            with self._lock:
                if ticket.ended:
                    return
                ticket.ended = True
                self._tickets.pop(ticket.request.id, None)
                ticket.model.tickets -= 1
                ticket.model.used = next(self._use)
        ticket.emit(event)

    # A model's way.

    def _add(self, name: str, reference: str) -> Model:
        if name and name not in self._models and not NAME.fullmatch(name):
            raise UserError("Name a model with letters, digits, dots, hyphens and underscores, 64 at most.")
        known, reference, weights = self._source.identify(reference)
        name = name or known
        if self.budget and self.base + weights > self.budget:
            raise ModelTooLarge(name, self.base + weights, self.budget)
        with self._lock:
            if self._closed:
                raise Stopping()
            model = self._models.setdefault(name, Model(name, reference))
            if model.reference != reference:
                if model.state != "failed":
                    raise UserError(f"There is a model named {name!r} already, {model.reference}. Give this one another name.")
                model.reference, model.info = reference, None
            model.estimate = model.estimate or weights
        return model

    def _add_in_any_case(self, name: str, reference: str) -> Model:
        try:
            return self._add(name, reference)
        except ModelError as error:
            failed = Model(name or reference, reference, "failed", error=error.message)
            with self._lock:
                return self._models.setdefault(failed.name, failed)

    def _begin(self, model: Model) -> bool:
        """Whether the caller is to bring the model, which nobody else does now; the lock is held."""
        if self._closed or model.state in ("getting", "loading", "ready"):
            return False
        model.state, model.error, model.progress = "getting", "", (0, 0, "")
        return True

    def _bring_behind(self, model: Model) -> None:
        threading.Thread(target=self._bring, args=(model,), name=f"load {model.name}", daemon=True).start()

    def _bring(self, model: Model, evict: bool = True) -> Exception | None:
        """Get and load a model, and answer who waits for it; the error if that fails. May `evict` others that are idle."""
        with self._lock:
            self._begin(model)
        self._changed()
        try:
            found = self._source.find(model.reference, partial(self._report, model, "B"))
            model.defaults = found.defaults
            with self._reading:
                cache = self._make_room(model, found, evict)
                self._changed()
                engine = found.load(cache, partial(self._report, model, ""))
        except Exception as error:
            self._give_up(model, error, stays_out=not evict)
            return error
        give_back()  # what reading took beside the weights
        self._open(model, engine)
        return None

    def _report(self, model: Model, unit: str, done: int, total: int) -> None:
        with self._lock:
            model.progress = (done, total, unit)
        self._changed()

    def _make_room(self, model: Model, found: Found, evict: bool) -> int:
        """Reserve the model's memory; how much of it its key-value cache may take. Who was used least recently leaves for it."""
        least = least_needed(found)
        model.estimate = found.weights
        if self.budget and self.base + least > self.budget:
            raise ModelTooLarge(model.name, self.base + least, self.budget)
        while True:
            with self._lock:
                while self._leaving and not self._closed:
                    self._lock.wait()
                if self._closed:
                    raise Stopping()
                others = [one for one in self._models.values() if one is not model]
                free = self.budget - self.base - sum(one.reserved for one in others)
                if not self.budget or least <= free:
                    coming = sum(one.estimate for one in others if one.state == "getting" and not one.reserved)
                    left = max(free - coming, least) - found.weights if self.budget else 0
                    share = 1 + sum(one.state == "getting" for one in others)
                    cache = cache_share(found, left, self.budget, share) if self.budget else 0
                    model.state, model.progress, model.reserved = "loading", (0, 0, ""), found.weights + cache
                    return cache
                idle = [one for one in others if one.state == "ready" and not one.tickets]
                if not evict or free + sum(one.reserved for one in idle) < least:
                    busy = [one.name for one in others if one.reserved and one not in idle]
                    raise NoRoom(model.name, least, max(free, 0), self.budget, busy)
                leaving = self._take_out(min(idle, key=lambda one: one.used), askable=True)
            self._let_go(leaving)

    def _open(self, model: Model, engine: Engine) -> None:
        """The model is loaded: what waited for it goes on."""
        with self._lock:
            closed, waiting = self._closed, model.waiting
            if not closed:
                model.engine, model.info, model.state = engine, replace(engine.model, name=model.name), "ready"
                model.askable, model.used, model.waiting = True, next(self._use), []
                for ticket in waiting:
                    ticket.stage = "passing"
        if closed:
            engine.close()
            return
        self._changed()
        for ticket in waiting:
            self._pass_on(ticket, engine)

    def _give_up(self, model: Model, error: Exception, stays_out: bool) -> None:
        failed = failed_of(error)
        with self._lock:
            reading, waiting = model.state == "loading", model.waiting
            model.waiting, model.reserved = [], 0
            for ticket in waiting:
                ticket.stage = "passing"
            if isinstance(error, NoRoom) and (stays_out or model.askable):  # there may be room when it is asked next
                model.state, model.askable, model.error = "unloaded", True, "" if stays_out else failed.message
            else:
                model.state, model.askable, model.error = "failed", False, failed.message
        for ticket in waiting:
            self._tell(ticket, failed)
        if reading:  # what there was of the weights, which the frames that raised would hold
            forget_frames(error)
            give_back()
        self._changed()

    def _take_out(self, model: Model, askable: bool) -> list[Engine]:
        """Make a model's engine one that no request can reach; the lock is held, and `_let_go` must follow."""
        engines = [model.engine] if model.engine else []
        model.engine, model.state, model.askable, model.reserved = None, "unloaded", askable, 0
        self._leaving += 1
        return engines

    def _let_go(self, leaving: list[Engine]) -> None:
        """Close the one engine in `leaving`, and drop what must be the last reference to it: then its weights can go."""
        leaving[0].close()
        leaving.clear()
        give_back()
        with self._lock:
            self._leaving -= 1
            self._lock.notify_all()
        self._changed()

    def _changed(self) -> None:
        for tell in self.on_change:
            try:
                tell()
            except Exception:  # a page's trouble is not the model's
                log.exception("could not tell of a change of the models")
