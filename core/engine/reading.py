"""One sequence on its way through a model of any kind, by the same steps as Transformers' own `generate`.

`generate` runs to the end once it has begun. Its parts, which each model adapts to the cache that it keeps (keys and values, the
states of a Mamba, an encoder's output), are called here one step at a time, so that others can be heard between two tokens.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig
from transformers.generation.utils import ALL_CACHE_NAMES

from core.engine.scheduler import Sequence
from core.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Reading:
    """What a model keeps of one sequence. An encoder-decoder's encoder reads the whole prompt when this is made.

    `sequence` is what its decoder reads: the request's own, or for an encoder-decoder the start token and then the answer.
    """

    def __init__(self, model: PreTrainedModel, sequence: Sequence) -> None:
        self.sequence, self._model, self._settings = sequence, model, GenerationConfig()
        self._ids = torch.empty(1, 0, dtype=torch.long, device=model.device)
        self._kwargs: dict[str, Any] = {}
        self._is_encoder_decoder = bool(model.config.is_encoder_decoder)
        if self._is_encoder_decoder:
            self.sequence = Sequence(sequence.id, [_start_token(model)], sequence.params, generated=sequence.generated)
            self._kwargs = model._maybe_prepare_encoder_kwargs_for_generation(
                self._tensor(sequence.prompt), {}, "input_ids", self._settings
            )
        if "dynamic" in rope_kinds(model):  # such positions keep the scale of the longest until something short is read
            model(input_ids=self._tensor(sequence.prompt[:1]), use_cache=False)
        if model._supports_logits_to_keep():
            self._kwargs["logits_to_keep"] = 1
        model._prepare_cache_for_generation(self._settings, self._kwargs, None, 1, 0)
        self._kwargs["use_cache"] = True

    @property
    def keeps(self) -> bool:
        """Whether the model keeps a cache; one that does not reads everything again for each token."""
        return bool(self._kwargs["use_cache"])

    def read_all(self) -> torch.Tensor:
        """Read all that is known of `sequence`; the logits [1, vocabulary] after it."""
        return self.read(self.sequence.length)

    def read(self, length: int) -> torch.Tensor:
        """Read on to the first `length` tokens of `sequence`; the logits [1, vocabulary] after the last."""
        first, before = not self._ids.shape[1], self._ids.shape[1]
        new = self._tensor(self.sequence.read(before, length - before))
        self._ids = torch.cat([self._ids, new], dim=1)
        if first:
            self._begin()
        elif new.shape[1] > 1:  # the step before has counted on one
            self._update({}, new.shape[1] - 1)
        last = None if first or not self.keeps else new.shape[1]
        inputs = self._model.prepare_inputs_for_generation(
            self._ids, next_sequence_length=last, is_first_iteration=first, **self._kwargs
        )
        output = self._model(**inputs, return_dict=True)
        if not any(name in output for name in ALL_CACHE_NAMES):
            self._kwargs = {name: value for name, value in self._kwargs.items() if name not in ALL_CACHE_NAMES}
            self._kwargs["use_cache"] = False
        self._update(output, 1)
        return self._forced(output.logits[:, -1])

    def _begin(self) -> None:
        takes = inspect.signature(self._model.forward).parameters
        if self._is_encoder_decoder:
            return
        if "position_ids" in takes:
            whole = {**self._kwargs, "attention_mask": torch.ones_like(self._ids)}
            self._kwargs["position_ids"] = self._model._prepare_position_ids_for_generation(self._ids, whole)
        if "attention_mask" in takes:
            self._kwargs["attention_mask"] = None  # nothing is padded

    def _update(self, output: Any, count: int) -> None:
        """Keep what `output` brings, and prepare for `count` more tokens."""
        self._kwargs = self._model._update_model_kwargs_for_generation(
            output, self._kwargs, is_encoder_decoder=self._is_encoder_decoder, num_new_tokens=count
        )

    def _forced(self, logits: torch.Tensor) -> torch.Tensor:
        """The first token of an answer is given for some encoder-decoders: BART's begin of text, mBART's language."""
        settings = self._model.generation_config
        given = settings and settings.forced_bos_token_id
        if given is None or not self._is_encoder_decoder or self._ids.shape[1] > 1:
            return logits
        only = torch.full_like(logits, -torch.inf)
        only[:, given] = 0
        return only

    def _tensor(self, tokens: list[int]) -> torch.Tensor:
        return torch.tensor([tokens], device=self._model.device)


def rope_kinds(model: PreTrainedModel) -> set[str]:
    """How a model's rotary positions are scaled, in the words of its config; empty if they are not, or there are none."""
    ropes: Any = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    return {str(one["rope_type"]) for one in (ropes, *ropes.values()) if isinstance(one, dict) and one.get("rope_type")}


def _start_token(model: PreTrainedModel) -> int:
    """What an encoder-decoder's answer starts with, found where `generate` looks for it."""
    for found in (model.generation_config, model.config.get_text_config(decoder=True), model.config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            token = getattr(found, name, None)
            if token is not None:
                return int(token[0] if isinstance(token, list) else token)
    raise ModelError("This encoder-decoder does not say with which token its answers start. Choose another model.")
