"""The in-process engine: one thread that runs the scheduler's choices on a Runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

from core.engine.base import Decode, Outcome, Request, Runner
from core.engine.pace import Pace
from core.engine.scheduler import Release, Reuse, Scheduler, Sequence, Step
from core.engine.text import StopStrings
from core.errors import Busy, Interrupted, OutOfMemory, Stopping, UserError, failed_of, log
from core.types import Delta, Emit, Finished, FinishReason, Queued, Started, Usage

TELL_S = 5.0  # who waits gets a new estimate so often


@dataclass(slots=True, eq=False)
class _Job:
    """A submitted request with what its events are made from. Times are of the given clock, in seconds."""

    sequence: Sequence
    emit: Emit
    decode: Decode
    stop: StopStrings
    submitted: float
    started: float | None = None
    first_token: float | None = None
    position: int | None = None
    told: float = 0.0  # when it was told its place


class LocalEngine:
    """Runs requests on `runner`, as many at a time as share its steps. Cancel takes effect between two steps."""

    def __init__(self, runner: Runner, scheduler: Scheduler | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = runner.model
        self._runner, self._clock, self._pace = runner, clock, Pace()
        self._scheduler = scheduler or Scheduler(
            runner.parallel, chunk=self._pace.chunk, capacity=runner.capacity, cost=runner.cost, reuse=runner.parallel > 1
        )
        self._jobs: dict[str, _Job] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._recent_s: float | None = None  # how long a run took of late, for the estimate that a queue shows
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        return len(self._jobs)

    def submit(self, request: Request, emit: Emit) -> None:
        submitted = self._clock()
        try:
            context = self.model.context
            prompt = self._runner.encode(request.messages, room=min(request.params.max_tokens, context // 2))
            if not prompt:
                raise UserError("There is nothing in this for the model to read. Write a message.")
            params = replace(request.params, max_tokens=min(request.params.max_tokens, context - len(prompt)))
            sequence = Sequence(request.id, prompt, params, self._runner.eos, request.user_id)
            job = _Job(sequence, emit, self._runner.decoder(), StopStrings(params.stop), submitted)
            with self._wake:
                if self._closed:
                    raise Stopping()
                self._queue(sequence)
                self._jobs[request.id] = job
                self._wake.notify()
        except Exception as error:  # a bad request ends alone, in its own words
            emit(failed_of(error))

    def cancel(self, request_id: str) -> None:
        with self._wake:
            if sequence := self._scheduler.cancel(request_id):
                self._finish(sequence, "cancelled")
                self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            for job in list(self._jobs.values()):
                self._fail(job.sequence, Interrupted())
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1)

    def _queue(self, sequence: Sequence) -> None:
        try:
            self._scheduler.add(sequence)
        except Busy as full:
            raise Busy(full.waiting, self._eta(0), full.own) from None

    def _loop(self) -> None:
        while work := self._next():
            ops, steps = work
            begun, trying = self._clock(), False
            try:
                for op in ops:  # only this thread talks to the runner
                    if isinstance(op, Reuse):
                        self._runner.reuse(op)
                    else:
                        self._runner.release(op.id, op.keep)
                trying = True
                outcomes = self._runner.run(steps) if steps else []
            except Exception as error:  # the engine lives on
                self._recover(steps if trying else [], error)  # what fails between steps is nobody's fault
                continue
            if steps:
                self._pace.observe(sum(len(step.tokens) for step in steps), self._clock() - begun)
                with self._wake:
                    self._book(steps, outcomes)
        self._runner.close()

    def _next(self) -> tuple[list[Release | Reuse], list[Step]] | None:
        """What to do to the cache and then to compute, waited for if need be; None when the engine was closed."""
        with self._wake:
            while True:
                steps = [] if self._closed else self._scheduler.schedule()
                for step in steps:
                    self._start(self._jobs[step.sequence.id])
                self._announce_positions()
                if (ops := self._scheduler.take_cache_ops()) or steps:
                    return ops, steps
                if self._closed:
                    return None
                self._wake.wait()

    def _recover(self, steps: Seq[Step], error: Exception) -> None:
        """A step failed as a whole: find out whose fault it was, and end that one alone."""
        lacking = lacks_memory(error)
        # With the traceback: an error of our own would be retried too, and show only as an engine that is slow.
        log.warning("a step of %d sequences failed: %s", len(steps), error, exc_info=None if lacking else error)
        self._runner.reset()
        with self._wake:
            for sequence in self._scheduler.retry(steps, smaller=lacking):
                self._fail(sequence, OutOfMemory() if lacking else error)

    def _book(self, steps: Seq[Step], outcomes: Seq[Outcome]) -> None:
        tokens = [outcome if isinstance(outcome, int) else None for outcome in outcomes]
        self._scheduler.postprocess(steps, tokens)
        for step, outcome in zip(steps, outcomes, strict=True):
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                self._deliver(step.sequence, outcome)
            except Exception as error:  # it ends its own request alone
                self._fail(step.sequence, error)

    def _start(self, job: _Job) -> None:
        if job.started is None:
            job.started, job.position = self._clock(), None
            job.emit(Started())

    def _deliver(self, sequence: Sequence, token: int | None) -> None:
        job = self._jobs.get(sequence.id)
        if job is None or token is None:  # cancelled while it was computed: its end was told already
            return
        job.first_token = job.first_token or self._clock()
        if token not in sequence.eos and (text := job.stop.push(job.decode(token).replace("\0", ""))):
            job.emit(Delta(text))  # without NUL, which PostgreSQL does not store
        if job.stop.found and not sequence.finished:
            self._scheduler.remove(sequence, "stop")
        if sequence.finished:
            self._finish(sequence, "stop" if job.stop.found else sequence.finished)

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        job = self._jobs.pop(sequence.id)
        now = self._clock()
        if job.started is not None:
            self._recent_s = now - job.started if self._recent_s is None else 0.7 * self._recent_s + 0.3 * (now - job.started)
        if rest := job.stop.rest():
            job.emit(Delta(rest))
        job.emit(Finished(self._usage(job, now), reason))

    def _usage(self, job: _Job, now: float) -> Usage:
        return Usage(
            prompt_tokens=len(job.sequence.prompt),
            tokens=len(job.sequence.generated),
            first_token_s=(job.first_token or now) - job.submitted,
            total_s=now - job.submitted,
        )

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        if job := self._jobs.pop(sequence.id, None):
            if not sequence.finished:
                self._scheduler.remove(sequence, "stop", keep=False)
            job.emit(failed_of(error))

    def _announce_positions(self) -> None:
        """Tell each waiting request how many will be let in before it, when that changes and every few seconds."""
        for position, sequence in enumerate(self._scheduler.waiting):
            job = self._jobs[sequence.id]
            if job.started is None and (position != job.position or self._clock() - job.told > TELL_S):
                job.position, job.told = position, self._clock()
                job.emit(Queued(position, self._eta(position)))

    def _eta(self, position: int) -> float | None:
        """In about how many seconds `position` requests are let in and one more: each that ends makes room for one."""
        if self._recent_s is None:
            return None
        return (position + 1) * self._recent_s / max(1, len(self._scheduler.running))


def lacks_memory(error: Exception) -> bool:
    """Whether a step failed for want of memory: torch has one error for a GPU, and only a sentence for a CPU."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(part in str(error).lower() for part in words)
