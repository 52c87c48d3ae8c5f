"""The in-process engine: one thread that runs the scheduler's choices on a Runner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.engine.base import Request
from core.engine.runner import Decode, Runner
from core.engine.scheduler import Scheduler, Sequence
from core.errors import Interrupted, Stopping, error_code, screen_message
from core.types import Delta, Emit, Failed, Finished, FinishReason, Queued, Started, Usage


@dataclass(slots=True, eq=False)
class _Job:
    """A submitted request with what its events are made from. Times are of the given clock, in seconds."""

    sequence: Sequence
    emit: Emit
    decode: Decode
    submitted: float
    started: float | None = None
    first_token: float | None = None
    decoded: int = 0
    position: int | None = None


class LocalEngine:
    """Runs requests one after another on `runner`. Cancel takes effect between two steps, also within a long prompt."""

    def __init__(self, runner: Runner, scheduler: Scheduler | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = runner.model
        self._runner, self._scheduler, self._clock = runner, scheduler or Scheduler(), clock
        self._jobs: dict[str, _Job] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._ended: list[str] = []  # what the runner may let go of; only the engine's thread talks to the runner
        self._recent_s: float | None = None  # how long a run took of late, for the estimate that a queue shows
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, emit: Emit) -> None:
        submitted = self._clock()
        try:
            context = self.model.context
            prompt = self._runner.encode(request.messages, room=min(request.params.max_tokens, context // 2))
            params = replace(request.params, max_tokens=min(request.params.max_tokens, context - len(prompt)))
            sequence = Sequence(request.id, prompt, params, self._runner.eos)
            with self._wake:
                if self._closed:
                    raise Stopping()
                self._scheduler.add(sequence)
                self._jobs[request.id] = _Job(sequence, emit, self._runner.decoder(), submitted)
                self._announce_positions()
                self._wake.notify()
        except Exception as error:  # a bad request ends alone, in its own words
            emit(Failed(screen_message(error), error_code(error)))

    @property
    def busy(self) -> int:
        return len(self._jobs)

    def cancel(self, request_id: str) -> None:
        with self._wake:
            if sequence := self._scheduler.cancel(request_id):
                self._finish(sequence, "cancelled")

    def close(self) -> None:
        with self._wake:
            self._closed = True
            for job in list(self._jobs.values()):
                self._fail(job.sequence, Interrupted())
            self._wake.notify()
        self._thread.join(timeout=1)

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._closed and not (steps := self._scheduler.schedule()) and not self._ended:
                    self._wake.wait()
                if self._closed:
                    return
                for step in steps:
                    self._start(self._jobs[step.sequence.id])
                ended, self._ended = self._ended, []
            for sequence_id in ended:
                self._runner.release(sequence_id)
            if not steps:
                continue
            try:
                tokens = self._runner.run(steps)
            except Exception as error:  # the engine lives on; the requests of this step end
                with self._wake:
                    for step in steps:
                        self._fail(step.sequence, error)
                continue
            with self._wake:
                self._scheduler.postprocess(steps, tokens)
                for step, token in zip(steps, tokens, strict=True):
                    try:
                        self._deliver(step.sequence, token)
                    except Exception as error:  # a token that cannot be decoded ends its own request alone
                        self._fail(step.sequence, error)

    def _start(self, job: _Job) -> None:
        if job.started is None:
            job.started = self._clock()
            job.emit(Started())
            self._announce_positions()

    def _deliver(self, sequence: Sequence, token: int | None) -> None:
        job = self._jobs.get(sequence.id)
        if job is None:  # cancelled while it was computed: its end was told already
            return
        if token is not None:
            job.first_token = job.first_token or self._clock()
            if token not in sequence.eos and (text := job.decode(token).replace("\0", "")):
                job.emit(Delta(text))  # without NUL, which PostgreSQL does not store
        if sequence.finished:
            self._finish(sequence, sequence.finished)

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        job = self._jobs.pop(sequence.id)
        self._ended.append(sequence.id)
        now = self._clock()
        if job.started is not None:
            self._recent_s = now - job.started if self._recent_s is None else 0.7 * self._recent_s + 0.3 * (now - job.started)
        job.emit(Finished(self._usage(job, now), reason))
        self._announce_positions()

    def _usage(self, job: _Job, now: float) -> Usage:
        return Usage(
            prompt_tokens=len(job.sequence.prompt),
            tokens=len(job.sequence.generated),
            first_token_s=(job.first_token or now) - job.submitted,
            total_s=now - job.submitted,
        )

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        if job := self._jobs.pop(sequence.id, None):
            self._ended.append(sequence.id)
            if not sequence.finished:
                self._scheduler.remove(sequence, "stop")
            job.emit(Failed(screen_message(error), error_code(error)))

    def _announce_positions(self) -> None:
        """Tell each waiting request its place, once for each place it moves to."""
        ahead = len(self._scheduler.running)
        for index, sequence in enumerate(self._scheduler.waiting):
            job = self._jobs[sequence.id]
            position = ahead + index
            if position and position != job.position:
                job.position = position
                job.emit(Queued(position, None if self._recent_s is None else position * self._recent_s))
