"""Which tokens the model computes next. Pure: no torch, no clock, no thread, so that its choices are tested in microseconds.

The engine's loop is `steps = scheduler.schedule(); tokens = runner.run(steps); scheduler.postprocess(steps, tokens)`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from core.errors import Busy
from core.types import FinishReason, SamplingParams


@dataclass(slots=True, eq=False)
class Sequence:
    """A request on its way through the model: its prompt, how much of it was computed, and what was generated."""

    id: str
    prompt: list[int]
    params: SamplingParams
    eos: frozenset[int] = frozenset()
    computed: int = 0
    generated: list[int] = field(default_factory=list)
    finished: FinishReason | None = None

    @property
    def waiting_tokens(self) -> list[int]:
        """What the model has not read yet: the rest of the prompt, or the token that was generated last."""
        if self.computed < len(self.prompt):
            return self.prompt[self.computed :]
        return self.generated[-1:]


@dataclass(frozen=True, slots=True)
class Step:
    """Feed `tokens` to `sequence`; `samples` says that its next token is wanted, since these are the last it waits for."""

    sequence: Sequence
    tokens: list[int]
    samples: bool


class Scheduler:
    """First come, first served, `max_running` at a time; a prompt is read in chunks so that a cancel is seen between."""

    def __init__(self, max_running: int = 1, max_waiting: int = 64, prefill_chunk: int = 256) -> None:
        self.max_running, self.max_waiting, self.prefill_chunk = max_running, max_waiting, prefill_chunk
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def add(self, sequence: Sequence) -> None:
        """Queue `sequence`; raises Busy when `max_waiting` are queued already."""
        if len(self.waiting) >= self.max_waiting:
            raise Busy(len(self.waiting))
        self.waiting.append(sequence)

    def cancel(self, sequence_id: str) -> Sequence | None:
        """Take a sequence out, running or waiting; None if it is not here."""
        for sequence in (*self.running, *self.waiting):
            if sequence.id == sequence_id:
                self.remove(sequence, "cancelled")
                return sequence
        return None

    def remove(self, sequence: Sequence, reason: FinishReason) -> None:
        """Take out `sequence`, which must be here, and note why."""
        sequence.finished = reason
        (self.running if sequence in self.running else self.waiting).remove(sequence)

    def schedule(self) -> list[Step]:
        """Let waiting sequences in while there is room; one step for each that runs. Empty when there is nothing to do."""
        while self.waiting and len(self.running) < self.max_running:
            self.running.append(self.waiting.popleft())
        steps = []
        for sequence in self.running:
            wanted = sequence.waiting_tokens
            tokens = wanted[: self.prefill_chunk]
            steps.append(Step(sequence, tokens, samples=len(tokens) == len(wanted)))
        return steps

    def postprocess(self, steps: Seq[Step], tokens: Seq[int | None]) -> None:
        """Book what the runner computed: `tokens[i]` is what `steps[i]` sampled, None where it did not sample.

        A sequence that reached an end-of-sequence token or its limit is marked `finished` and leaves.
        """
        for step, token in zip(steps, tokens, strict=True):
            sequence = step.sequence
            if sequence.finished:
                continue
            sequence.computed += len(step.tokens)
            if token is None:
                continue
            sequence.generated.append(token)
            if token in sequence.eos:
                self.remove(sequence, "stop")
            elif len(sequence.generated) >= sequence.params.max_tokens:
                self.remove(sequence, "length")
