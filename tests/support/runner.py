"""A Runner that plays a script: everything above the seam is the real thing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from core.engine.scheduler import Reuse, Step
from core.types import Message, ModelInfo

END = -1
Answer = Callable[[str], list[str]]


class ScriptedRunner:
    """Answers each prompt with `answer(last message)`, a list of pieces, one a step and `pace_s` seconds for each.

    A message with "fail" in it raises in the step after its third piece; one with "slow" waits two seconds first. What was
    read is in `prompts`; `steps` counts steps.
    """

    def __init__(self, answer: Answer | Sequence[str], pace_s: float = 0.0, context: int = 4096, parallel: int = 1) -> None:
        self.model = ModelInfo("Scripted", context=context)
        self.eos = frozenset({END})
        self.parallel, self.capacity = parallel, 10**9
        self.prompts: list[list[Message]] = []
        self.steps = 0
        self.released: list[str] = []
        self.reused: list[Reuse] = []
        self.resets = 0
        self.closed = False
        self._answer: Answer = answer if callable(answer) else lambda message: list(answer)
        self._pace_s = pace_s
        self._pieces: list[str] = []
        self._messages: list[str] = []
        self._lock = threading.Lock()

    def encode(self, messages: Sequence[Message], room: int) -> list[int]:
        with self._lock:
            self.prompts.append(list(messages))
            self._messages.append(messages[-1].content)
            return [len(self._messages) - 1] * min(len(messages), self.model.context - room)

    def decoder(self) -> Callable[[int], str]:
        return lambda token: self._pieces[token]

    def run(self, steps: Sequence[Step]) -> list[int | None]:
        self.steps += 1
        time.sleep(self._pace_s)
        return [self._next(step) if step.samples else None for step in steps]

    def _next(self, step: Step) -> int:
        message = self._messages[step.sequence.prompt[0]]
        done = len(step.sequence.generated)
        if "slow" in message and not done:
            time.sleep(2)
        if "fail" in message and done == 3:
            raise RuntimeError("the scripted runner was told to fail")
        pieces = self._answer(message)
        if done >= len(pieces):
            return END
        with self._lock:
            self._pieces.append(pieces[done])
            return len(self._pieces) - 1

    def cost(self, tokens: int) -> int:
        return tokens

    def reuse(self, reuse: Reuse) -> None:
        self.reused.append(reuse)

    def release(self, sequence_id: str, keep: int = 0) -> None:
        self.released.append(sequence_id)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True
