"""Several models behind one Engine: each request goes to the model that it names; models come, leave and come back meanwhile."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath

from core.engine.base import Engine, Request
from core.engine.room import forget_frames, give_back
from core.engine.served import Entry, Model, Source, State, Ticket
from core.engine.turns import Room
from core.errors import (
    Busy,
    Interrupted,
    LoadFailed,
    ModelError,
    ModelTooLarge,
    NoRoom,
    NotLoaded,
    Stopping,
    UserError,
    failed_of,
    log,
)
from core.references import NAME
from core.types import Emit, Event, Failed, Finished, ModelInfo, Queued, SamplingParams, Usage

__all__ = ["Entry", "Router", "Source", "State"]

MAX_WAITING = 64  # requests for a model that is being loaded, a quarter of them one person's; its scheduler bounds the rest
MAX_LOADS = 2  # of admins, at a time
KEEP_S = 10.0  # for so long what a question has brought stays, so that two questions do not take turns in loading
PAUSE_S = 10.0  # before what could not be loaded again is tried once more
CLOSE_S = 2.0


class Router:
    """An Engine over the engines of all models that are served; the first that `start` is given is the default.

    Safe from any thread. `budget` is in bytes, for the whole process, `base` of them taken by the process itself; 0 where
    memory is another machine's. No engine is ever called, and no event or change told, while `_lock` is held: engines tell events
    under a lock of their own.

    Who asks for a model that has no room waits until others have ended, and nobody new gets in there meanwhile: all wait their
    turn. What a question has brought stays for `keep_s` seconds.
    """

    def __init__(
        self, source: Source, budget: int = 0, base: int = 0, keep_s: float = KEEP_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget, self.base, self.default = budget, base, ""
        self.defaults = SamplingParams()  # the default's own
        self.on_change: list[Callable[[], None]] = []  # called after each change but that of `busy`, from any thread; quick ones
        self._source = source
        self._models: dict[str, Model] = {}
        self._tickets: dict[str, Ticket] = {}
        self._lock = threading.Condition(threading.Lock())
        self._keep_s, self._clock = keep_s, clock
        self._use = itertools.count(1)
        self._room = Room(self._models, self._lock, budget, base, clock, self._left, self._pass_on)

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

        Raises ModelError (no such folder, too large even alone) or UserError (another model has the name, or as many are on
        their way as may be).
        """
        name, reference, weights = self._identify(name, reference)
        with self._lock:
            known = self._models.get(name)
            coming = sum(one.by_admin and one.coming for one in self._models.values())
            if coming >= MAX_LOADS and (known is None or not known.there):
                raise UserError(
                    f"{coming} models are being loaded already. Wait until one of them is there, then press Load again."
                )
            model = self._put(name, reference, weights)
            if begin := self._begin(model):
                model.by_admin = True
            entry = model.entry
        if begin:
            self._bring_behind(model)
        return entry

    def unload(self, name: str) -> None:
        """Let a model go; it stays out until it is loaded again. Raises UserError if it is in use, or the default."""
        with self._lock:
            model = self._models.get(name)
            if model is None or model.state != "ready":
                raise UserError(f"{name!r} is not loaded, so there is nothing to unload.")
            if name == self.default:
                raise UserError(f"{name!r} is the default, which answers whoever chooses no model, so it stays.")
            if model.tickets:
                raise UserError(f"{name!r} is in use. Unload it when its {model.tickets} running or waiting requests have ended.")
            leaving = self._room.take_out(model, askable=False)
        self._room.let_go(model, leaving)

    def forget(self, name: str) -> None:
        """Take a model off the list that has failed or is unloaded. Raises UserError for any other, and for the default."""
        with self._lock:
            model = self._models.get(name)
            if model is None:
                raise UserError(f"There is no model named {name!r} any more.")
            if name == self.default:
                raise UserError(f"{name!r} is the default, which answers whoever chooses no model, so it stays.")
            if model.there or model.tickets:
                raise UserError(f"{name!r} is loaded, or on its way. Unload it first.")
            model.askable = False  # for who has found it a moment ago
            del self._models[name]
        self._changed()

    # The Engine.

    @property
    def model(self) -> ModelInfo:
        """The default's, also while it is out to make room."""
        default = self._models[self.default]
        return default.info or ModelInfo(default.name)

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
                ticket.stage = "passing"  # a second Stop finds it gone from there
        if waited:
            self._tell(ticket, Finished(Usage(), "cancelled"))
        elif engine:
            engine.cancel(request_id)

    def close(self) -> None:
        with self._lock:
            self._room.closed = True
            waiting = [ticket for model in self._models.values() for ticket in model.take_waiting()]
            engines = [model.engine for model in self._models.values() if model.engine]
            for model in self._models.values():
                model.engine, model.askable = None, False
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
                if self._room.closed:
                    raise Stopping()
                model.used = next(self._use)
                if model.engine and not model.yields:
                    return model.engine
                self._check_may_wait(ticket)
                position = len(model.waiting)
                ended, begin = ticket.cancelled and ticket.told, False
                if ticket.told and not ended:
                    ticket.stage = "waiting"
                    model.waiting.append(ticket)
                    begin = self._begin(model)
                    self._lock.notify_all()  # who waits for this model to leave waits for this one no more
            if ended:
                self._tell(ticket, Finished(Usage(), "cancelled"))
                return None
            if ticket.told:
                if begin:
                    self._bring_behind(model)
                return None
            ticket.emit(Queued(position, loading=True))  # before it waits: the engine's events come after this one
            ticket.told = True

    def _check_may_wait(self, ticket: Ticket) -> None:
        """Raises UserError if the model does not come, or as many wait for it as may, in all or of this person."""
        model = ticket.model
        if not model.askable and not model.coming:
            raise NotLoaded(model.name)
        if model.state == "failed" and (pause := model.again_at - self._clock()) > 0:
            raise LoadFailed(model.name, pause)
        if len(model.waiting) >= MAX_WAITING:
            raise Busy(len(model.waiting))
        theirs = sum(one.request.user_id == ticket.request.user_id for one in model.waiting)
        if theirs >= MAX_WAITING // 4:
            raise Busy(theirs, own=True)

    def _pass_on(self, ticket: Ticket, engine: Engine) -> None:
        try:
            engine.submit(ticket.request, partial(self._tell, ticket))
        except Exception as error:  # it ends alone: others may be waiting to be passed on after it
            self._tell(ticket, failed_of(error))
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
                self._lock.notify_all()  # its model may leave now, for one that waits for that
        ticket.emit(event)

    # A model's way.

    def _add(self, name: str, reference: str) -> Model:
        name, reference, weights = self._identify(name, reference)
        with self._lock:
            return self._put(name, reference, weights)

    def _identify(self, name: str, reference: str) -> tuple[str, str, int]:
        """Its name, its reference in one spelling, and the least that its weights take in bytes. Raises UserError."""
        if name and name not in self._models and not NAME.fullmatch(name):
            raise UserError("Name a model with letters, digits, dots, hyphens and underscores, 64 at most.")
        known, reference, weights = self._source.identify(reference)
        if self.budget and self.base + weights > self.budget:
            raise ModelTooLarge(name or known, self.base + weights, self.budget)
        return name or known, reference, weights

    def _put(self, name: str, reference: str, weights: int) -> Model:
        """The model of that name, which is there from now on; the lock is held."""
        if self._room.closed:
            raise Stopping()
        model = self._models.setdefault(name, Model(name, reference))
        if model.reference != reference:
            if model.state != "failed":
                raise UserError(f"There is a model named {name!r} already, {model.reference}. Give this one another name.")
            model.reference, model.info, model.estimate, model.askable = reference, None, 0, False
        model.estimate = model.estimate or weights
        return model

    def _add_in_any_case(self, name: str, reference: str) -> Model:
        try:
            return self._add(name, reference)
        except ModelError as error:  # its path is not for everyone to read
            failed = Model(name or PurePath(reference).name or "model", reference, "failed", error=error.message)
            with self._lock:
                return self._models.setdefault(failed.name, failed)

    def _begin(self, model: Model) -> bool:
        """Whether the caller is to bring the model, which nobody else does now; the lock is held."""
        if self._room.closed or model.there:
            return False
        model.state, model.error, model.progress, model.by_admin = "getting", "", (0, 0, ""), False
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
            if model.name == self.default:
                self.defaults = found.defaults
            with self._room.turn(model):
                cache = self._room.make(model, found, evict)
                self._changed()
                engine = found.load(cache, partial(self._report, model, ""))
        except Exception as error:
            return error if self._give_up(model, error, stays_out=not evict) else self._bring(model, evict)
        give_back()  # what reading took beside the weights
        self._open(model, engine)
        return None

    def _report(self, model: Model, unit: str, done: int, total: int) -> None:
        with self._lock:
            model.progress = (done, total, unit)
        self._changed()

    def _open(self, model: Model, engine: Engine) -> None:
        """The model is loaded: what waited for it goes on."""
        with self._lock:
            closed = self._room.closed
            if not closed:
                waiting = model.take_waiting()
                model.engine, model.info, model.state = engine, replace(engine.model, name=model.name), "ready"
                model.askable, model.used = True, next(self._use)
                model.stays_until = self._clock() + self._keep_s if waiting else 0.0
                self._lock.notify_all()
        if closed:
            engine.close()
            return
        self._changed()
        for ticket in waiting:
            self._pass_on(ticket, engine)

    def _give_up(self, model: Model, error: Exception, stays_out: bool) -> bool:
        """The model does not come: tell who waits for it, in words that hold no path; an admin reads the reason.

        False if it had no room to come by itself, and somebody asks for it by now: it is to be tried again.
        """
        failed = failed_of(error)
        with self._lock:
            if isinstance(error, NoRoom) and model.waiting:
                return False
            reading, waiting = model.state == "loading", model.take_waiting()
            out = isinstance(error, NoRoom) and (stays_out or model.askable)  # there may be room when it is asked next
            model.state, model.error, model.reserved = "unloaded" if out else "failed", failed.message, 0
            if out and stays_out:
                model.askable, model.error = True, ""
            model.again_at = self._clock() + PAUSE_S
            told = failed_of(LoadFailed(model.name, PAUSE_S if model.askable else None))
            self._lock.notify_all()
        for ticket in waiting:
            self._tell(ticket, told)
        if reading:  # what there was of the weights, which the frames that raised would hold
            forget_frames(error)
            give_back()
        self._changed()
        return True

    def _left(self, model: Model) -> None:
        """A model's memory is given back: it comes again if somebody waits for that."""
        with self._lock:
            begin = bool(model.waiting) and self._begin(model)
        self._changed()
        if begin:
            self._bring_behind(model)

    def _changed(self) -> None:
        for tell in self.on_change:
            try:
                tell()
            except Exception:  # a page's trouble is not the model's
                log.exception("could not tell of a change of the models")
