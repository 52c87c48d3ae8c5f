"""Weights laid out for this CPU. Multiplied as Transformers keeps them, they are laid out anew in every step.

oneDNN's inner-product primitive computes from weights in its own blocked layout; `torch.compile` uses the same operators when it
freezes a model. On two cores, for 16 to 144 tokens at once, that is 1.3 to 3 times as fast as nn.Linear (docs/engine.md).
"""

from __future__ import annotations

import os
from typing import Any, cast

import torch
from torch import nn
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from core.engine.pages import drop_files

TOKENS = 64  # of a step, for which the layout is chosen
SMALL = 2**18  # weights; of a layer no larger, a single token is computed sooner by the plain ones, which are kept for it
KERNELS = 128  # that are kept, each for a layer's shape and a number of tokens, and 0.65 MB; 1024 if this were not said
PIECE = 50_000_000  # bytes of weights that are laid out before those that they were made of are given back


class PackedLinear(nn.Module):
    """Computes what the nn.Linear or Conv1D that it replaces did: [..., inputs] to [..., outputs]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """`weight` is [outputs, inputs], as nn.Linear has it."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), TOKENS)
        self._plain = weight.detach().clone() if weight.numel() <= SMALL else None

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        if self._plain is not None and states.numel() == self.in_features:
            return linear(states, self._plain, self.bias)
        return cast(torch.Tensor, torch.ops.mkldnn._linear_pointwise(states, self._packed, self.bias, "none", [], ""))


def pack(model: nn.Module) -> None:
    """Replace the linear layers of `model` (float32, on a CPU) in place, each one's own weights going as it is replaced.

    A build of torch without oneDNN keeps what it has.
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return
    read = PIECE  # since the files' pages were last given back; by the trial, all of them
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(packed := _packed(child), PackedLinear):
                setattr(parent, name, packed)
                read += 4 * packed.in_features * packed.out_features
                if read > PIECE:
                    drop_files()
                    read = 0
    for parameter in model.parameters():  # what is left points into the file, all of which counts as long as one does
        parameter.data = parameter.data.clone()
    drop_files()


def bound_kernels() -> None:
    """Have oneDNN and ideep, between torch and it, keep KERNELS of what they make for a shape. Before either's first computation.

    What such a kernel is made in, some 0.6 ms, is a small part of a step; what a thousand take, as much as a small model.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(KERNELS))


def _packed(layer: Any) -> PackedLinear | None:
    """None for what is no linear layer; a subclass of one may compute something else."""
    if type(layer) not in (nn.Linear, Conv1D) or layer.weight.dtype != torch.float32:
        return None
    return PackedLinear(layer.weight if type(layer) is nn.Linear else layer.weight.t(), layer.bias)


def unpack(model: nn.Module) -> None:
    """Put plain linear layers back where `pack` took them."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PackedLinear):
                plain = nn.Linear(child.in_features, child.out_features, bias=False, device="meta")
                plain.weight = nn.Parameter(child._packed.to_dense(), requires_grad=False)
                plain.bias = cast(nn.Parameter, child.bias)
                setattr(parent, name, plain.eval())
