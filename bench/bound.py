"""Row (g), the bound: the same prefill work and the same number of decode steps, as bare forward passes and nothing else."""

from __future__ import annotations

import os
import time
from typing import Any

from bench import meter
from bench.plan import Plan


def bound(model: Any, plan: Plan) -> dict[str, Any]:
    """What a round's figures are, but for latencies.

    Each first question is prefilled once, alone, and its time taken for every turn in proportion to its tokens; then one
    answer's decode steps run at a batch of all users over an unpadded cache of the prompts' mean length, and count for each turn.
    """
    import torch

    first = [turns[0] for turns in plan.questions]
    every = sum(len(question) for turns in plan.questions for question in turns)
    scale = every / sum(map(len, first))
    turns = plan.answers / plan.users
    mean = sum(map(len, first)) // len(first)
    meter.forget_peak(os.getpid())
    with torch.inference_mode():
        prefill = _taken(model, lambda: _prefill(model, first))
        cache = _filled(model, plan.users, mean)
        decode = _taken(model, lambda: _decode(model, cache, plan.users, plan.new_tokens - 1))
    wall, cpu = (prefill[i] * scale + decode[i] * turns for i in (0, 1))
    tokens = plan.answers * plan.new_tokens
    return {
        "tokens": tokens, "wall_s": wall, "cpu_s": cpu, "peak_mb": meter.peak_mb(os.getpid()),
        "prefill_s": prefill[0] * scale, "decode_s": decode[0] * turns,
    }  # fmt: skip


def _taken(model: Any, work: Any) -> tuple[float, float]:
    """Wall and CPU seconds."""
    import torch

    begun, cpu = time.perf_counter(), meter.cpu_s(os.getpid())
    work()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun, meter.cpu_s(os.getpid()) - cpu


def _prefill(model: Any, prompts: list[list[int]]) -> None:
    import torch

    for prompt in prompts:  # the last position's logits alone, as `generate` asks for
        output = model(input_ids=torch.tensor([prompt], device=model.device), use_cache=True, logits_to_keep=1)
        output.logits[:, -1].argmax(-1)


def _filled(model: Any, users: int, length: int) -> Any:
    """A cache of `length` random tokens for each user, filled eight users at a time, so that no peak of memory comes of it."""
    import torch
    from transformers import DynamicCache

    parts = []
    for begin in range(0, users, 8):
        ids = torch.randint(1, 100, (min(8, users - begin), length), device=model.device)
        parts.append(model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values)
    cache = DynamicCache(config=model.config)
    for index in range(model.config.num_hidden_layers):
        keys = torch.cat([part.layers[index].keys for part in parts])
        cache.update(keys, torch.cat([part.layers[index].values for part in parts]), index)
    return cache


def _decode(model: Any, cache: Any, users: int, steps: int) -> None:
    import torch

    ids = torch.ones((users, 1), dtype=torch.long, device=model.device)
    for _ in range(steps):
        output = model(input_ids=ids, past_key_values=cache, use_cache=True)
        ids = output.logits[:, -1:].argmax(-1)
        if model.device.type == "cuda":
            ids.tolist()  # an answer that is streamed must be read at each step
