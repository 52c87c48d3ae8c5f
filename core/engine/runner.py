"""What the scheduler decided, computed with torch: all sequences of a step in one forward pass of a Transformers model."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from itertools import accumulate
from typing import TYPE_CHECKING

import torch

from core.engine.attention import NAME, Chunk, Ragged, Single
from core.engine.base import Outcome
from core.engine.kv import KeyValueCache, Row, Slab, row_length, spare
from core.engine.sampling import Choice, choose
from core.engine.scheduler import Reuse, Sequence, Step
from core.engine.text import ChatText
from core.errors import NoNumbers
from core.types import ModelInfo

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PARALLEL = {"cpu": 64, "cuda": 256}  # beyond these a step costs as much more as it computes more


class BatchRunner:
    """One copy of a Transformers model, and one cache that all its sequences share.

    Each step is one call of the model with all tokens in a row, prompts and answers side by side, without padding; only
    attention (core/engine/attention.py) tells them apart. `capacity` is in tokens.
    """

    def __init__(self, model: PreTrainedModel, text: ChatText, eos: frozenset[int], info: ModelInfo, capacity: int) -> None:
        self.model, self.eos = info, eos
        self.capacity = max(int(capacity / spare(model.device)), info.context)  # one row alone is made without spare ones
        self.parallel = PARALLEL[model.device.type]
        self.encode, self.decoder = text.encode, text.decoder
        self._model, self._cache = model, KeyValueCache(info.context)
        self._choices: dict[str, Choice] = {}
        model.set_attn_implementation(NAME)

    def cost(self, tokens: int) -> int:
        return row_length(tokens, self.model.context)

    @property
    def vocabulary(self) -> int:
        return int(self._model.config.get_text_config().vocab_size)

    @property
    def token_bytes(self) -> int:
        """What a token takes in the cache, in bytes; 0 while nothing is in it."""
        return self._cache.token_bytes

    def run(self, steps: Seq[Step]) -> list[Outcome]:
        ordered, logits = self.forward(steps)
        sampling = [step.sequence for step in ordered if step.samples]
        with torch.inference_mode():
            outcomes = self._sample(sampling, logits) if sampling else {}
        return [outcomes.get(step.sequence.id) for step in steps]

    def forward(self, steps: Seq[Step]) -> tuple[list[Step], torch.Tensor]:
        """The steps in the order of the batch, and the logits [steps that sample, vocabulary] after each."""
        with torch.inference_mode():
            ordered, ragged = self._arrange(steps)
            device = self._model.device
            ids = [token for step in ordered for token in step.tokens]
            places = [
                place for step in ordered for place in range(step.sequence.computed, step.sequence.computed + len(step.tokens))
            ]
            lasts = [
                index - 1
                for index, step in zip(accumulate(len(step.tokens) for step in ordered), ordered, strict=True)
                if step.samples
            ]
            logits = self._model(
                input_ids=torch.tensor([ids], device=device), position_ids=torch.tensor([places], device=device),
                logits_to_keep=torch.tensor(lasts or [0], device=device), use_cache=False, ragged=ragged,
            ).logits[0]  # fmt: skip
        return ordered, logits

    def reuse(self, reuse: Reuse) -> None:
        with torch.inference_mode():
            self._cache.reuse(reuse.id, reuse.reach, reuse.source.id, reuse.source.length)

    def release(self, sequence_id: str, keep: int = 0) -> None:
        self._choices.pop(sequence_id, None)
        with torch.inference_mode():
            self._cache.release(sequence_id, keep)

    def reset(self) -> None:
        self._cache.clear()
        self._choices.clear()  # each is made again as it was, by its seed and what was generated

    def close(self) -> None:
        self._cache.clear()
        del self._model

    def _sample(self, sequences: list[Sequence], logits: torch.Tensor) -> dict[str, Outcome]:
        for one in sequences:
            if one.id not in self._choices:
                self._choices[one.id] = Choice(one.params)
        choices = [self._choices[one.id] for one in sequences]
        outcomes: dict[str, Outcome] = {}
        for sequence, token in zip(sequences, choose(logits, sequences, choices), strict=True):
            outcomes[sequence.id] = token
            if token is None:
                self._cache.wipe(sequence.id)
                outcomes[sequence.id] = NoNumbers(self.model.name)
        return outcomes

    def _arrange(self, steps: Seq[Step]) -> tuple[list[Step], Ragged]:
        """The steps in the order in which their tokens stand in the batch: single tokens by slab and row, then chunks."""
        rows = {step.sequence.id: self._row(step) for step in steps}  # all first: whoever needs a longer row moves others
        by_slab: dict[Slab, list[Step]] = {}
        for step in steps:
            if len(step.tokens) == 1:
                by_slab.setdefault(rows[step.sequence.id].slab, []).append(step)
        ordered: list[Step] = []
        singles = []
        for slab, members in by_slab.items():
            members.sort(key=lambda step: rows[step.sequence.id].index)
            singles.append(self._single(slab, members, rows, len(ordered)))
            ordered += members
        offset, chunks = len(ordered), []
        for step in steps:
            if len(step.tokens) > 1:
                chunks.append(Chunk(rows[step.sequence.id], offset, step.sequence.computed, len(step.tokens)))
                ordered.append(step)
                offset += len(step.tokens)
        return ordered, Ragged(singles, chunks)

    def _row(self, step: Step) -> Row:
        sequence = step.sequence
        return self._cache.row(sequence.id, sequence.computed, sequence.computed + len(step.tokens), sequence.reach)

    def _single(self, slab: Slab, members: list[Step], rows: dict[str, Row], offset: int) -> Single:
        indices = [rows[step.sequence.id].index for step in members]
        positions = [step.sequence.computed for step in members]
        device = self._model.device
        return Single(
            slab, offset, torch.tensor(indices, device=device), torch.tensor(positions, device=device), max(positions) + 1,
            all_rows=len(indices) == len(slab.owners),
        )  # fmt: skip
