"""For models that cannot share a batch: each sequence has a cache of its own, as the model makes it, and they run in turn."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import TYPE_CHECKING

import torch

from core.engine.base import Outcome
from core.engine.reading import Reading
from core.engine.sampling import Choice, choose
from core.engine.scheduler import Reuse, Step
from core.engine.text import ChatText
from core.errors import NoNumbers
from core.types import ModelInfo

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class SingleRunner:
    """One copy of a Transformers model that runs one sequence at a time; `capacity` is in tokens.

    With `pieces` a prompt is read in the pieces that the scheduler cuts, else when all of it is there: some models' caches take
    a prompt in one go only.
    """

    parallel = 1

    def __init__(
        self, model: PreTrainedModel, text: ChatText, eos: frozenset[int], info: ModelInfo, capacity: int, pieces: bool = False
    ) -> None:
        self.model, self.eos, self.capacity, self.pieces = info, eos, capacity, pieces
        self.encode, self.decoder = text.encode, text.decoder
        self._model = model
        self._readings: dict[str, Reading] = {}
        self._choices: dict[str, Choice] = {}

    def cost(self, tokens: int) -> int:
        return tokens

    def run(self, steps: Seq[Step]) -> list[Outcome]:
        with torch.inference_mode():
            return [self._run(step) for step in steps]

    def _run(self, step: Step) -> Outcome:
        if not step.samples and not self.pieces:
            return None  # read with the last piece
        reading = self._readings.get(step.sequence.id)
        if reading is None:
            reading = self._readings[step.sequence.id] = Reading(self._model, step.sequence)
        if not step.samples:
            reading.read(step.sequence.computed + len(step.tokens))
            return None
        logits = reading.read_all()
        choice = self._choices.setdefault(step.sequence.id, Choice(step.sequence.params))
        token = choose(logits, [reading.sequence], [choice])[0]
        return NoNumbers(self.model.name) if token is None else token

    def reuse(self, reuse: Reuse) -> None:
        raise NotImplementedError("the scheduler reuses nothing where one sequence runs at a time")

    def release(self, sequence_id: str, keep: int = 0) -> None:
        self._readings.pop(sequence_id, None)
        self._choices.pop(sequence_id, None)

    def reset(self) -> None:
        self._readings.clear()

    def close(self) -> None:
        self._readings.clear()
        del self._model
