"""How much memory a model is given, and giving it back. No torch: what a file's header and a config say is enough to decide."""

from __future__ import annotations

import ctypes
import gc
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from core.engine.base import Engine
from core.types import SamplingParams

Report = Callable[[int, int], None]

LEAST_CACHE = 64_000_000  # bytes; less than this, or than one request of full length, makes people wait for each other
FULL_REQUESTS = 64  # of full length at once: more cache than they take is of no use
LARGEST_SHARE = 4  # of the budget, so that a second model finds room


@dataclass(frozen=True, slots=True)
class Found:
    """A model whose files are there. `load(cache_bytes, report)` reads its weights, counted in tensors.

    `weights` is in bytes, with what a computation takes beside them; `one_cache` what the key-value cache of one request as long
    as the model's context takes. Both are 0 for a model on another machine. `defaults` are the model's own sampling parameters.
    """

    load: Callable[[int, Report], Engine]
    weights: int = 0
    one_cache: int = 0
    defaults: SamplingParams = field(default_factory=SamplingParams)


def least_needed(found: Found) -> int:
    """The least memory in bytes with which a model is of use."""
    return found.weights + min(LEAST_CACHE, found.one_cache)


def cache_share(found: Found, left: int, budget: int, coming: int) -> int:
    """The most bytes that a model's key-value cache may take of the `left` that no weights need.

    As many models are `coming`, this one among them; one share is left over for whatever is loaded later.
    """
    fair = min(left // (coming + 1), budget // LARGEST_SHARE, found.one_cache * FULL_REQUESTS)
    return max(fair, min(LEAST_CACHE, found.one_cache))


def cache_bytes_per_token(config: Mapping[str, Any], bytes_each: int) -> int:
    """What one token's keys and values take in all layers, by a model's config.json; `bytes_each` is 4 for float32.

    A sliding window, which only makes it less, is not counted on.
    """
    text = config.get("text_config") or config

    def first(*names: str) -> int:
        return next((int(text[name]) for name in names if text.get(name)), 0)

    layers, heads = first("num_hidden_layers", "n_layer", "num_layers"), first("num_attention_heads", "n_head", "num_heads")
    width = first("hidden_size", "n_embd", "d_model")
    each = first("head_dim") or (width // heads if heads else 0)
    return layers * 2 * (first("num_key_value_heads") or heads) * each * bytes_each


def forget_frames(error: BaseException | None) -> None:
    """Let go of what the functions held that `error` went through, and of what its causes went through."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def give_back() -> None:
    """Return to the system what an unloaded model took, also where `gc.freeze` has set its objects apart from collection."""
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(AttributeError, OSError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)
