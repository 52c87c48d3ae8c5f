"""Attention over a ragged batch: sequences of any lengths side by side in one row of tokens, each reading its own cache row.

Registered with Transformers under NAME (`AttentionInterface`); a model set to it is called with `ragged=Ragged(...)`, which its
layers hand on. Masks are made here, since only the Ragged knows whose token is whose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from core.engine.kv import Row, Slab

NAME = "portico"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a layer attends: `scale` of the scores (None: one over the root of the heads' size), the sliding `window` in tokens,
    the `softcap` of Gemma 2, the `sinks` [heads] of GPT-OSS.
    """

    scale: float | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None


@dataclass(slots=True)
class Chunk:
    """`count` tokens of one sequence, at `offset` in the batch, that follow `start` others in its row."""

    row: Row
    offset: int
    start: int
    count: int


@dataclass(slots=True)
class Single:
    """One token each of several sequences whose rows are in one slab; they are at `offset` and on in the batch.

    `rows` and `positions` say where their keys go. `longest` is how much of the rows is read.
    """

    slab: Slab
    offset: int
    rows: torch.Tensor
    positions: torch.Tensor
    longest: int
    all_rows: bool  # every row in use has a token here, in order
    masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.offset + len(self.rows)

    def mask(self, window: int | None) -> torch.Tensor:
        """[rows in use, 1, 1, longest], True where it is read. The same for all layers of one window."""
        if window not in self.masks:
            ends = self.positions.new_full((len(self.slab.owners),), 0)
            ends[self.rows] = self.positions
            places, ends = torch.arange(self.longest, device=ends.device)[None], ends[:, None]
            seen = places <= ends
            if window is not None:
                seen &= places > ends - window
            self.masks[window] = seen[:, None, None]
        return self.masks[window]


class Ragged:
    """One forward pass's tokens: first those of sequences that have one each, then the chunks of prompts."""

    def __init__(self, singles: list[Single], chunks: list[Chunk]) -> None:
        self._singles, self._chunks = singles, chunks

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, manner: Manner) -> torch.Tensor:
        """`query` [1, heads, tokens, size], `key` and `value` [1, key heads, tokens, size]; gives [1, tokens, heads, size]."""
        query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
        output = value.new_empty(query.shape[0], query.shape[1], value.shape[2])
        for one in self._singles:
            keys, values = one.slab.layer(layer, key, value)
            keys[one.rows, one.positions] = key[one.offset : one.end]
            values[one.rows, one.positions] = value[one.offset : one.end]
            output[one.offset : one.end] = _single(one, query, keys, values, manner)
        for chunk in self._chunks:
            keys, values = chunk.row.slab.layer(layer, key, value)
            here = slice(chunk.offset, chunk.offset + chunk.count)
            end = chunk.start + chunk.count
            row_keys, row_values = keys[chunk.row.index, :end], values[chunk.row.index, :end]
            row_keys[chunk.start :], row_values[chunk.start :] = key[here], value[here]
            output[here] = _chunk(chunk, query[here], row_keys, row_values, manner)
        return output[None]


def _single(one: Single, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, manner: Manner) -> torch.Tensor:
    """[tokens, heads, size]. Query heads that share a key head go in as its queries, so that no key is copied for them."""
    used, (_, heads, size) = len(one.slab.owners), query.shape
    asked = query[one.offset : one.end]
    if not one.all_rows:  # rows that only read a prompt now are computed in vain
        asked = query.new_zeros(used, heads, size).index_copy_(0, one.rows, asked)
    shared = asked.reshape(used, keys.shape[2], -1, size)
    row_keys, row_values = (part[:used, : one.longest].transpose(1, 2) for part in (keys, values))
    answered = attention(shared, row_keys, row_values, one.mask(manner.window), manner).reshape(used, heads, -1)
    return answered if one.all_rows else answered[one.rows]


def _chunk(chunk: Chunk, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, manner: Manner) -> torch.Tensor:
    """[tokens, heads, size]."""
    end, device, window = chunk.start + chunk.count, query.device, manner.window
    mask = None
    if chunk.start or manner.softcap or manner.sinks is not None or (window is not None and end > window):
        places = torch.arange(end, device=device)[None]
        ends = torch.arange(chunk.start, end, device=device)[:, None]
        mask = places <= ends
        if window is not None:
            mask &= places > ends - window
    query, keys, values = (part.transpose(0, 1)[None] for part in (query, keys, values))
    return attention(query, keys, values, mask, manner)[0].transpose(0, 1)


def attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, manner: Manner
) -> torch.Tensor:
    """Each [batch, heads, tokens, size], with fewer key heads if need be; causal without `mask` (True: read)."""
    if manner.softcap or manner.sinks is not None:
        return _written_out(query, keys, values, mask, manner)
    grouped = query.shape[1] != keys.shape[1]
    return scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=manner.scale, enable_gqa=grouped
    )


def _written_out(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, manner: Manner
) -> torch.Tensor:
    """As `attention`, where torch's own knows no such thing. In [batch, key heads, query heads of each, tokens, size]."""
    query = query.reshape(len(query), keys.shape[1], -1, *query.shape[2:])
    scores = query @ keys[:, :, None].transpose(-1, -2) * (query.shape[-1] ** -0.5 if manner.scale is None else manner.scale)
    if manner.softcap:  # Gemma 2: Gemma Team, 2024, section 2
        scores = torch.tanh(scores / manner.softcap) * manner.softcap
    if mask is not None:
        scores = scores.masked_fill(~(mask if mask.ndim == 2 else mask[:, :, None]), -torch.inf)
    if manner.sinks is not None:  # one more place to look at, with nothing there: Xiao et al., 2023; OpenAI, gpt-oss, 2025
        heads = keys.shape[1] * query.shape[2]
        each = manner.sinks.to(scores.dtype).view(keys.shape[1], -1)
        sinks = each[None, :, :, None, None] if heads == manner.sinks.numel() else each[None, :, None, :, None]
        scores = torch.cat([scores, sinks.expand(*scores.shape[:-1], 1)], dim=-1)
    odds = torch.softmax(scores, dim=-1, dtype=torch.float32)[..., : keys.shape[-2]].to(values.dtype)
    return (odds @ values[:, :, None]).flatten(1, 2)


def attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
    scaling: float | None = None, sliding_window: int | None = None, softcap: float | None = None,
    s_aux: torch.Tensor | None = None, ragged: Ragged | None = None, **others: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """The attention function of Transformers' models, as they call it."""
    if ragged is None:
        raise RuntimeError("this model does not hand its arguments on to its attention layers")
    return ragged.attend(module.layer_idx, query, key, value, Manner(scaling, sliding_window, softcap, s_aux)), None


AttentionInterface.register(NAME, attend)
