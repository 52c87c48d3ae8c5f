"""Attention for Transformers' continuous batching on a CPU, where its own computes [all queries, all keys] at once."""

from __future__ import annotations

from typing import Any


def attend(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, dropout: float = 0.0, scaling: float | None = None,
    cache: Any = None, **kwargs: Any,
) -> tuple[Any, None]:  # fmt: skip
    """Each sequence attends to its own keys: one call for each that reads its prompt, one padded call for all that decode.

    `query` is [1, heads, queries of all sequences, head size]; returns [1, queries, heads, head size].
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention as sdpa

    key, value = cache.update(key_states=key, value_states=value, layer_idx=module.layer_idx, kwargs=kwargs)
    queries, keys = kwargs["cu_seq_lens_q"].tolist(), kwargs["cu_seq_lens_k"].tolist()
    spans = list(zip(queries, queries[1:], keys, keys[1:], strict=False))
    groups, out = query.shape[1] // key.shape[1], torch.empty_like(query)
    for q0, q1, k0, k1 in (span for span in spans if span[1] - span[0] > 1):
        mask = None if q1 - q0 == k1 - k0 else torch.ones(q1 - q0, k1 - k0, dtype=torch.bool).tril(k1 - k0 - (q1 - q0))
        out[:, :, q0:q1] = sdpa(
            query[:, :, q0:q1], key[:, :, k0:k1], value[:, :, k0:k1],
            attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True,
        )  # fmt: skip
    if decoding := [span for span in spans if span[1] - span[0] == 1]:
        at, _, begins, ends = (torch.tensor(column) for column in zip(*decoding, strict=True))
        index = begins[:, None] + torch.arange(int((ends - begins).max()))
        mask = (index < ends[:, None])[:, None, None]
        index = index.clamp(max=key.shape[2] - 1)
        packed = query[0, :, at].transpose(0, 1).reshape(len(at), key.shape[1], groups, -1)
        found = sdpa(packed, key[0][:, index].transpose(0, 1), value[0][:, index].transpose(0, 1), attn_mask=mask, scale=scaling)
        out[0, :, at] = found.reshape(len(at), query.shape[1], -1).transpose(0, 1)
    return out.transpose(1, 2).contiguous(), None
