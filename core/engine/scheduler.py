"""Which tokens the model computes next. Pure: no torch, no clock, no thread, so that its choices are tested in microseconds.

The engine's loop is `steps = scheduler.schedule(); tokens = runner.run(steps); scheduler.postprocess(steps, tokens)`. Sequences
join and leave between any two steps (continuous batching: Yu et al., Orca, OSDI 2022); prompts are read in chunks beside the
others' next tokens (chunked prefill: Agrawal et al., Sarathi-Serve, OSDI 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from core.engine.line import Line
from core.engine.prefixes import Prefixes, Source
from core.types import FinishReason, SamplingParams

HEADROOM = 64  # tokens of an answer for which room is made at a time
GOOD_STEPS = 100  # after so many, a batch that was made smaller for want of memory may be larger by one again
MAX_TRIES = 3  # how often in a row a sequence may be in a step that fails before it is taken to be the cause


@dataclass(slots=True, eq=False)
class Sequence:
    """A request on its way through the model: its prompt, how many of its tokens were computed, and what was generated."""

    id: str
    prompt: list[int]
    params: SamplingParams
    eos: frozenset[int] = frozenset()
    user_id: str = ""
    computed: int = 0
    generated: list[int] = field(default_factory=list)
    finished: FinishReason | None = None
    suspect: bool = False  # was in a step that failed: runs alone until one goes well
    failures: int = 0

    @property
    def length(self) -> int:
        """All tokens known: the prompt's and those generated."""
        return len(self.prompt) + len(self.generated)

    @property
    def pending(self) -> int:
        """How many of them the model has not read yet: the rest of the prompt, or the one that was generated last."""
        return self.length - self.computed

    @property
    def reach(self) -> int:
        """For how many tokens it has or wants room in the cache: all known, and the next of its answer."""
        return len(self.prompt) + min(self.params.max_tokens, (len(self.generated) // HEADROOM + 1) * HEADROOM)

    def read(self, start: int, count: int) -> list[int]:
        """`count` of its tokens from `start` on."""
        prompt = len(self.prompt)
        if start >= prompt:
            return self.generated[start - prompt : start - prompt + count]
        return self.prompt[start : start + count] + self.generated[: max(0, start + count - prompt)]


@dataclass(frozen=True, slots=True)
class Step:
    """Feed `tokens` to `sequence`; `samples` says that its next token is wanted, since these are the last it waits for."""

    sequence: Sequence
    tokens: list[int]
    samples: bool


@dataclass(frozen=True, slots=True)
class Release:
    """The runner may let go of a sequence; the first `keep` of its tokens may begin a later prompt and are worth keeping."""

    id: str
    keep: int = 0


@dataclass(frozen=True, slots=True)
class Reuse:
    """A sequence begins with what was computed for another: copy it. `reach` is for how many tokens it wants room."""

    id: str
    reach: int
    source: Source


class Scheduler:
    """Fair between people, bounded in the queue and in memory.

    `max_running` sequences share a step, `max_waiting` may wait, a quarter of them one person's. `capacity` is how many tokens
    the key-value cache holds, of which a sequence of `n` takes `cost(n)`; with `reuse`, what was computed for one serves the
    next that begins alike. `chunk(decoding)` is how many prompt tokens a step may read beside `decoding` sequences that each
    write one.
    """

    def __init__(
        self, max_running: int = 1, max_waiting: int = 128, chunk: Callable[[int], int] = lambda decoding: 256,
        capacity: int = 10**9, cost: Callable[[int], int] = lambda tokens: tokens, reuse: bool = False,
    ) -> None:  # fmt: skip
        self.max_running, self._chunk = max_running, chunk
        self._capacity, self._cost = capacity, cost
        self._most, self._good = max_running, 0
        self.running: list[Sequence] = []
        self._waiting: Line[Sequence] = Line(max_waiting)
        self._prefixes = Prefixes() if reuse else None
        self._cache_ops: list[Release | Reuse] = []

    def add(self, sequence: Sequence) -> None:
        """Queue `sequence`; raises Busy when as many wait already as may, in all or of this person."""
        self._waiting.add(sequence)

    @property
    def waiting(self) -> list[Sequence]:
        """Who waits, in the order in which they will be let in: round-robin between people, then by arrival.

        Next is whoever has the fewest running, so that one person's ten requests do not delay another's first.
        """
        return self._waiting.ordered(one.user_id for one in self.running)

    def cancel(self, sequence_id: str) -> Sequence | None:
        """Take a sequence out, running or waiting; None if it is not here."""
        running = next((one for one in self.running if one.id == sequence_id), None)
        if sequence := running or self._waiting.find(sequence_id):
            self.remove(sequence, "cancelled")
        return sequence

    def remove(self, sequence: Sequence, reason: FinishReason, keep: bool = True) -> None:
        """Take out `sequence`, which must be here, and note why; `keep` what was computed of it for later prompts."""
        sequence.finished = reason
        if sequence in self._waiting:
            self._waiting.remove(sequence)
            return
        self.running.remove(sequence)
        kept = bool(
            keep and self._prefixes and self._prefixes.keep(sequence.id, sequence.user_id, sequence.read(0, sequence.computed))
        )
        self._cache_ops.append(Release(sequence.id, sequence.computed if kept else 0))
        if self._prefixes and kept:
            self._cache_ops += map(Release, self._prefixes.pop_outgrown(sequence.id))

    def take_cache_ops(self) -> list[Release | Reuse]:
        """What the runner must do to its cache before the next steps, in this order."""
        ops, self._cache_ops = self._cache_ops, []
        return ops

    def schedule(self) -> list[Step]:
        """Let waiting sequences in while there is room; what each that runs computes now. Empty when there is nothing to do."""
        suspect = next((one for one in self.running if one.suspect), None)
        if suspect:
            return [self._step(suspect, self._chunk(0))]
        self._make_room()
        self._admit()
        steps = [self._step(one, 1) for one in self.running if one.pending == 1]
        return steps + self._prefill(self._chunk(len(steps)))

    def _prefill(self, budget: int) -> list[Step]:
        """Who came first gets half of `budget`, so that a long prompt gets on; then the shortest, who need least to begin."""
        reading = [one for one in self.running if one.pending > 1]
        if not reading:
            return []
        oldest, *others = reading
        others.sort(key=lambda one: one.pending)
        shares = {oldest: min(oldest.pending, budget - budget // 2 if others else budget)}
        left = budget - shares[oldest]
        for one in others:
            shares[one] = min(one.pending, left)
            left -= shares[one]
        shares[oldest] = min(oldest.pending, shares[oldest] + left)
        return [self._step(one, count) for one, count in shares.items() if count]

    def _step(self, sequence: Sequence, count: int) -> Step:
        tokens = sequence.read(sequence.computed, min(count, sequence.pending))
        return Step(sequence, tokens, len(tokens) == sequence.pending)

    def _admit(self) -> None:
        for sequence in self.waiting:
            if len(self.running) >= self.max_running:
                return
            wanted = self._cost(sequence.reach)
            prompt = sequence.read(0, sequence.length - 1)
            source = self._prefixes.find(sequence.user_id, prompt, self.running) if self._prefixes else None
            if not self._forget(wanted, source) and self.running:
                return  # nobody overtakes: a long prompt would wait for ever
            self._waiting.let_in(sequence)
            self.running.append(sequence)
            if source:
                sequence.computed = source.length
                self._cache_ops.append(Reuse(sequence.id, sequence.reach, source))
                self._forget(0)  # its source, if there is room for no more than itself

    def _used(self) -> int:
        return self._running_cost() + (self._prefixes.tokens if self._prefixes else 0)

    def _running_cost(self) -> int:
        return sum(self._cost(one.reach) for one in self.running)

    def _forget(self, wanted: int, but: Source | None = None) -> bool:
        """Let go of kept prefixes, the least recently used first, until `wanted` more tokens find room; whether they do."""
        if self._running_cost() + wanted + (but.length if but else 0) > self._capacity:
            return False  # they would be let go of in vain
        while self._used() + wanted > self._capacity:
            forgotten = self._prefixes.pop_oldest(but.id if but else "") if self._prefixes else None
            if forgotten is None:
                return False
            self._cache_ops.append(Release(forgotten))
        return True

    def _make_room(self) -> None:
        """For the running sequences' next tokens: who came last goes back to the queue if there is no other way."""
        while not self._forget(0) and len(self.running) > 1:
            self.requeue(self.running[-1])

    def requeue(self, sequence: Sequence) -> None:
        """Take `sequence` out of the batch to the head of the queue. What it generated stays, and is read again later."""
        self.running.remove(sequence)
        sequence.computed, sequence.suspect = 0, False
        self._cache_ops.append(Release(sequence.id))
        self._waiting.put_back(sequence)

    def retry(self, steps: Seq[Step], smaller: bool = False) -> list[Sequence]:
        """After a step that failed, and a runner that was reset: all that run start anew, those of `steps` one at a time to
        find whose fault it was, and in `smaller` batches for a while if memory was short. Returns whom to end: who failed
        alone, or too often in a row.
        """
        smaller = smaller and len(steps) > 1
        if smaller:
            self.max_running, self._good = len(steps) // 2, 0
        if self._prefixes:
            self._prefixes = Prefixes()
        self._cache_ops = [op for op in self._cache_ops if isinstance(op, Release)]
        for sequence in self.running:
            sequence.computed = 0
        blamed = []
        for sequence in (step.sequence for step in steps if not step.sequence.finished):
            sequence.failures += not smaller
            sequence.suspect = True
            if len(steps) == 1 or sequence.failures > MAX_TRIES:
                blamed.append(sequence)
        for sequence in self.running[self.max_running :][::-1]:
            self.requeue(sequence)
        return blamed

    def postprocess(self, steps: Seq[Step], tokens: Seq[int | None]) -> None:
        """Book what the runner computed: `tokens[i]` is what `steps[i]` sampled, None where it did not sample.

        A sequence that reached an end-of-sequence token or its limit is marked `finished` and leaves.
        """
        self._good += 1
        if self.max_running < self._most and self._good % GOOD_STEPS == 0:
            self.max_running += 1
        for step, token in zip(steps, tokens, strict=True):
            sequence = step.sequence
            if sequence.finished:
                continue
            sequence.computed += len(step.tokens)
            if token is None:
                continue
            sequence.suspect, sequence.failures = False, 0
            sequence.generated.append(token)
            if token in sequence.eos:
                self.remove(sequence, "stop")
            elif len(sequence.generated) >= sequence.params.max_tokens:
                self.remove(sequence, "length")
