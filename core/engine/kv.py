"""The key-value cache: one row a running sequence, rows of like length together, so that one attention call serves many."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from core.engine.pages import LINUX, discard, zeros

SMALLEST = 128  # tokens of the shortest rows
MAPPED = 8_000_000  # bytes; what is kept in smaller pieces comes from malloc, which has them sooner and finds them a use again
SPARE = 1.25  # how many times the rows in use are made, so that not every newcomer moves all


def spare(device: torch.device) -> float:
    """How many times what the rows in use take, the cache takes in memory: rows that nobody uses take none on Linux."""
    return 1.0 if LINUX and device.type == "cpu" else SPARE


def row_length(tokens: int, longest: int) -> int:
    """How long a row for `tokens` is: a power of two or half as much again, so that at most a third is idle, or `longest`."""
    length = SMALLEST
    while length < tokens:
        if length + length // 2 >= tokens:
            return min(length + length // 2, longest)
        length *= 2
    return min(length, longest)


@dataclass(eq=False)
class Slab:
    """Rows of one length. `layers[i]` is that layer's keys and values, each [rows, length, heads, size].

    The first `len(owners)` rows are in use: when one leaves, the last takes its place. The first `touched` may take memory.
    """

    length: int
    owners: list[Row] = field(default_factory=list)
    touched: int = 0
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def layer(self, index: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's rows, made if need be for heads like those of `keys` and `values` [tokens, heads, size]."""
        held = self.layers.get(index)
        if held is None or held[0].shape[0] < len(self.owners):
            held = self.layers[index] = (self._made(held and held[0], keys), self._made(held and held[1], values))
        return held

    def give_back(self) -> None:
        """Give back what the last idle row took."""
        self.touched -= 1
        for keys, values in self.layers.values():
            discard(keys[self.touched])
            discard(values[self.touched])

    def shrink(self) -> None:
        """Make do with fewer rows once most are idle, where idle rows take memory."""
        for index, (keys, values) in self.layers.items():
            if spare(keys.device) > 1 and len(self.owners) * 2 < len(keys):
                self.layers[index] = (self._made(keys, keys[0]), self._made(values, values[0]))

    def _made(self, old: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        takes = spare(like.device) > 1
        rows = int(len(self.owners) * SPARE) if takes else max(len(self.owners) * 2, 16)  # spare ones that take nothing are many
        new = zeros((rows, self.length, *like.shape[1:]), like)  # zeros: what is masked must still be finite
        if old is not None:
            filled, both = max(row.filled for row in self.owners), min(len(old), rows)
            new[:both, :filled] = old[:both, :filled]
        return new


@dataclass(slots=True, eq=False)
class Row:
    """Where a running sequence's keys and values are, and for how many tokens some may have been written."""

    slab: Slab
    index: int
    filled: int = 0


class KeyValueCache:
    """Rows of running sequences, and the exact keys and values of ended ones that were kept."""

    def __init__(self, longest: int) -> None:
        """`longest` is the most tokens that a sequence may have."""
        self._longest = longest
        self._slabs: dict[int, Slab] = {}
        self._rows: dict[str, Row] = {}
        self._kept: dict[str, dict[int, tuple[torch.Tensor, torch.Tensor]]] = {}

    def row(self, sequence_id: str, computed: int, length: int, reach: int) -> Row:
        """The sequence's row with room for `length` tokens; a new one has it for `reach`, and its first `computed` move along."""
        row = self._rows.get(sequence_id)
        if row is None or row.slab.length < length:
            new = self._take(row_length(max(length, reach), self._longest))
            if row is not None:
                _fill(new, _read(row, computed), computed)
                self._free(row)
            row = self._rows[sequence_id] = new
        row.filled = max(row.filled, length)
        return row

    def reuse(self, sequence_id: str, reach: int, source_id: str, length: int) -> None:
        """Begin a sequence that wants room for `reach` tokens with the first `length` of another, running or kept."""
        kept = self._kept.get(source_id)
        source = kept if kept is not None else _read(self._rows[source_id], length)
        row = self._rows[sequence_id] = self._take(row_length(reach, self._longest))
        _fill(row, {index: (keys[:length], values[:length]) for index, (keys, values) in source.items()}, length)

    def release(self, sequence_id: str, keep: int = 0) -> None:
        """Let go of a sequence, or of what was kept of it; with `keep`, keep its first tokens."""
        self._kept.pop(sequence_id, None)
        row = self._rows.pop(sequence_id, None)
        if row is None:
            return
        if keep:
            self._kept[sequence_id] = _copied(_read(row, keep))
        self._free(row)

    def wipe(self, sequence_id: str) -> None:
        """Zero a sequence's row: what is no number there would spoil the next one's."""
        row = self._rows[sequence_id]
        for keys, values in row.slab.layers.values():
            keys[row.index].zero_()
            values[row.index].zero_()

    @property
    def token_bytes(self) -> int:
        """What a token takes in all layers, by the rows that there are; 0 before the first."""
        layers = next((slab.layers for slab in self._slabs.values()), {})
        return sum(part[0, 0].nbytes for pair in layers.values() for part in pair)

    def clear(self) -> None:
        """Let go of everything."""
        for slab in self._slabs.values():
            slab.owners.clear()
        self._slabs.clear()
        self._rows.clear()
        self._kept.clear()

    @property
    def nbytes(self) -> int:
        """The most that it takes in memory now: rows in their full length, idle ones where those take any, and what was kept."""
        slabs = [
            part.nbytes // len(part) * (slab.touched if spare(part.device) == 1 else len(part))
            for slab in self._slabs.values() for pair in slab.layers.values() for part in pair
        ]  # fmt: skip
        return sum(slabs) + sum(part.nbytes for kept in self._kept.values() for pair in kept.values() for part in pair)

    def _take(self, length: int) -> Row:
        slab = self._slabs.setdefault(length, Slab(length))
        row = Row(slab, len(slab.owners))
        slab.owners.append(row)
        if slab.touched < len(slab.owners):
            slab.touched = len(slab.owners)
            self._make_room(length)
        for index, (keys, values) in list(slab.layers.items()):
            for part in slab.layer(index, keys[0], values[0]):
                if part.dtype != torch.float32:
                    part[row.index].zero_()  # small dtypes overflow, and what is no number there would spoil this one
        return row

    def _make_room(self, length: int) -> None:
        """Give back idle rows for a new one of `length`. So all take no more than those in use once did, and those that one
        newcomer after another takes are not given back in between, since pages that come anew cost time."""
        for slab in self._slabs.values():
            while length > 0 and slab.touched > len(slab.owners):
                slab.give_back()
                length -= slab.length

    def _free(self, row: Row) -> None:
        slab, last = row.slab, row.slab.owners[-1]
        if last is row and row.index == 0:
            slab.owners.clear()  # rows know their slab: a circle, which would wait for the garbage collector
            del self._slabs[slab.length]
            return
        if last is not row:
            for part in (part for pair in slab.layers.values() for part in pair):
                part[row.index, : last.filled] = part[last.index, : last.filled]
                if part.dtype != torch.float32:
                    part[row.index, last.filled :].zero_()
            slab.owners[row.index], last.index = last, row.index
        slab.owners.pop()
        slab.shrink()


def _read(row: Row, length: int) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    return {i: (k[row.index, :length], v[row.index, :length]) for i, (k, v) in row.slab.layers.items()}


def _fill(row: Row, layers: dict[int, tuple[torch.Tensor, torch.Tensor]], length: int) -> None:
    row.filled = length
    for index, (keys, values) in layers.items():
        to_keys, to_values = row.slab.layer(index, keys, values)
        to_keys[row.index, :length] = keys
        to_values[row.index, :length] = values


def _copied(layers: dict[int, tuple[torch.Tensor, torch.Tensor]]) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """A copy in one piece of memory: a system has no more than some ten thousand pieces for a process."""
    parts = [part for pair in layers.values() for part in pair]
    size = sum(part.numel() for part in parts)
    whole = zeros((size,), parts[0], at_once=True) if size * parts[0].element_size() > MAPPED else parts[0].new_empty(size)
    room = iter(torch.split(whole, [part.numel() for part in parts]))
    return {
        index: (next(room).view(keys.shape).copy_(keys), next(room).view(values.shape).copy_(values))
        for index, (keys, values) in layers.items()
    }
