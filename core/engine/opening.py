"""From a loaded model to what runs it: in batches if it is seen to give the same there as alone, else one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from core.engine.base import Runner
from core.engine.packing import bound_kernels, pack, unpack
from core.engine.reading import Reading, rope_kinds
from core.engine.runner import BatchRunner
from core.engine.scheduler import Sequence, Step
from core.engine.single import SingleRunner
from core.engine.text import ChatText
from core.errors import ModelError
from core.types import ModelInfo, SamplingParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger("portico")

SCALED = "its positions are scaled by the length of what it reads."
SHARED_LAYERS = {"full_attention", "sliding_attention"}
WINDOW = 4  # tokens, shorter than the longer of these prompts
PARTS = ((7, 5, 1), (20, 1, 1))  # how two made-up prompts are read in three steps when a model is tried


def open_runner(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, info: ModelInfo, capacity: int, cache_bytes: int = 0
) -> Runner:
    """`capacity` is how many tokens the key-value cache may hold, as the config tells; with `cache_bytes` it is as many as
    find room in those, by what a token is seen to take. Changes `model`: its linear layers are packed on a CPU.

    Raises ModelError if it cannot answer to text alone.
    """
    bound_kernels()
    whole, info = info, replace(info, context=min(info.context, capacity))
    text, eos = ChatText(tokenizer, info.context), end_tokens(model, tokenizer)
    alone = why_alone(model)
    if not alone:
        before = model.config._attn_implementation
        try:
            with _short_windows(model):
                wanted = _plain_logits(model)
                if model.device.type == "cpu":
                    pack(model)
                runner = BatchRunner(model, text, eos, info, capacity)
                found, token_bytes = _batched_logits(runner)
            if _same(wanted, found, model.dtype):
                if not cache_bytes or capacity * token_bytes == cache_bytes:
                    return runner
                capacity = max(cache_bytes // token_bytes, 1)
                info = replace(whole, context=min(whole.context, capacity))
                return BatchRunner(model, ChatText(tokenizer, info.context), eos, info, capacity)
            alone = "its answers change when it computes several at once."
        except Exception:  # whatever keeps a model from a batch, it serves one at a time
            log.info("%s cannot share a batch", info.name, exc_info=True)
            alone = "its attention does not take several sequences at once."
        model.set_attn_implementation(before)
        unpack(model)  # some look at their layers' weights, and one token at a time gains nothing
    log.info("%s answers one at a time: %s", info.name, alone)
    return SingleRunner(model, text, eos, replace(info, alone=alone), capacity, _reads_in_pieces(model, info.name))


def why_alone(model: PreTrainedModel) -> str:
    """What tells from the outside that a model cannot share a batch; "" if nothing does."""
    config = model.config.get_text_config()
    if model.config.is_encoder_decoder:
        return "it is an encoder-decoder."
    if other := set(getattr(config, "layer_types", None) or ()) - SHARED_LAYERS:
        return f"it has layers of the kind {min(other)}."
    if any("dynamic" in kind or kind == "longrope" for kind in rope_kinds(model)):  # scaled by the longest in the batch
        return SCALED
    return ""


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every end-of-sequence id that the generation config, the config or the tokenizer names."""
    found: set[int] = set()
    for value in (model.generation_config and model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found |= set(value if isinstance(value, list) else [value])
    return frozenset(found - {None})


@contextmanager
def _short_windows(model: PreTrainedModel) -> Iterator[None]:
    """Sliding windows that the made-up prompts outgrow: some models put theirs into masks alone, which a batch does not read."""
    holders: list[Any] = [model.config.get_text_config(), *model.modules()]
    windows = [(one, one.sliding_window) for one in holders if isinstance(getattr(one, "sliding_window", None), int)]
    windows = [(one, window) for one, window in windows if window > WINDOW]
    for one, _ in windows:
        one.sliding_window = WINDOW
    try:
        yield
    finally:
        for one, window in windows:
            one.sliding_window = window


def _prompts(vocabulary: int) -> list[list[int]]:
    numbers = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (sum(parts),), generator=numbers).tolist() for parts in PARTS]


def _plain_logits(model: PreTrainedModel) -> list[torch.Tensor]:
    """What the model itself says after each part of the prompts, step by step."""
    with torch.inference_mode():
        whole = [
            model(input_ids=torch.tensor([prompt], device=model.device), use_cache=False).logits[0]
            for prompt in _prompts(model.config.get_text_config().vocab_size)
        ]
    ends = [[sum(parts[: step + 1]) - 1 for parts in PARTS] for step in range(len(PARTS[0]))]
    return [logits[end] for places in ends for logits, end in zip(whole, places, strict=True)]


def _batched_logits(runner: BatchRunner) -> tuple[list[torch.Tensor], int]:
    """The same of the runner, which reads both prompts side by side; and what a token takes in its cache, in bytes."""
    prompts = _prompts(runner.vocabulary)
    sequences = [Sequence(f"trial-{index}", prompt, SamplingParams()) for index, prompt in enumerate(prompts)]
    found = []
    for counts in zip(*PARTS, strict=True):
        steps = [
            Step(sequence, sequence.read(sequence.computed, count), samples=True)
            for sequence, count in zip(sequences, counts, strict=True)
        ]
        ordered, logits = runner.forward(steps)
        found += [logits[ordered.index(step)] for step in steps]
        for step in steps:
            step.sequence.computed += len(step.tokens)
    token_bytes = runner.token_bytes
    for sequence in sequences:
        runner.release(sequence.id)
    return found, token_bytes


def _reads_in_pieces(model: PreTrainedModel, name: str) -> bool:
    """Whether a model that answers alone says the same to a prompt in pieces. Raises ModelError if it does not answer at all."""
    prompt = _prompts(model.config.get_text_config().vocab_size)[1]
    with torch.inference_mode():
        try:
            wanted = Reading(model, Sequence("trial", prompt, SamplingParams())).read_all()
        except Exception as error:
            log.info("%s cannot read a prompt", name, exc_info=True)
            raise ModelError(f"{name!r} does not answer to text alone. Choose another model.") from error
        if model.config.is_encoder_decoder or why_alone(model) == SCALED:  # later pieces change how the first are read
            return False
        try:
            reading = Reading(model, Sequence("trial", prompt, SamplingParams()))
            found = [reading.read(length) for length in (7, 14, len(prompt) - 1, len(prompt))][-1:]
        except Exception:  # whatever it is that a cache does not take
            log.info("%s reads a prompt in one go", name, exc_info=True)
            return False
    return reading.keeps and _same([wanted], found, model.dtype)


def _same(wanted: list[torch.Tensor], found: list[torch.Tensor], dtype: torch.dtype) -> bool:
    """Whether they differ by no more than rounding does."""
    allowed = 0.05 if dtype in (torch.float16, torch.bfloat16) else 1e-3
    return all(
        float((left - right).abs().max()) <= allowed * float(left.abs().max()) for left, right in zip(wanted, found, strict=True)
    )
