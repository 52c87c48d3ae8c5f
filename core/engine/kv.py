"""The key-value cache: one row a running sequence, rows of like length together, so that one attention call serves many."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

SMALLEST = 128  # tokens of the shortest rows
SPARE = 1.25  # how many times the rows in use are made, so that not every newcomer moves all


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

    The first `len(owners)` rows are in use: when one leaves, the last takes its place.
    """

    length: int
    owners: list[str] = field(default_factory=list)
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def layer(self, index: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's rows, made if need be for heads like those of `keys` and `values` [tokens, heads, size]."""
        held = self.layers.get(index)
        if held is None or held[0].shape[0] < len(self.owners):
            held = self.layers[index] = (self._grown(held and held[0], keys), self._grown(held and held[1], values))
        return held

    def shrink(self) -> None:
        """Give back rows once most are idle."""
        for index, (keys, values) in self.layers.items():
            if len(self.owners) * 2 < keys.shape[0]:
                used = len(self.owners)
                self.layers[index] = (self._grown(keys[:used], keys[0]), self._grown(values[:used], values[0]))

    def _grown(self, old: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        rows = int(len(self.owners) * SPARE)
        new = like.new_zeros(rows, self.length, *like.shape[1:])  # zeros: what is masked must still be finite
        if old is not None:
            new[: old.shape[0]] = old
        return new


@dataclass(slots=True, eq=False)
class Row:
    """Where a running sequence's keys and values are."""

    slab: Slab
    index: int


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
            new = self._take(sequence_id, row_length(max(length, reach), self._longest))
            if row is not None:
                _copy(_read(row, computed), new)
                self._free(row)
            row = self._rows[sequence_id] = new
        return row

    def reuse(self, sequence_id: str, reach: int, source_id: str, length: int) -> None:
        """Begin a sequence that wants room for `reach` tokens with the first `length` of another, running or kept."""
        kept = self._kept.get(source_id)
        source = kept if kept is not None else _read(self._rows[source_id], length)
        row = self._rows[sequence_id] = self._take(sequence_id, row_length(reach, self._longest))
        _copy({index: (keys[:length], values[:length]) for index, (keys, values) in source.items()}, row)

    def release(self, sequence_id: str, keep: int = 0) -> None:
        """Let go of a sequence, or of what was kept of it; with `keep`, keep its first tokens."""
        self._kept.pop(sequence_id, None)
        row = self._rows.pop(sequence_id, None)
        if row is None:
            return
        if keep:
            self._kept[sequence_id] = {i: (k.clone(), v.clone()) for i, (k, v) in _read(row, keep).items()}
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
        self._slabs.clear()
        self._rows.clear()
        self._kept.clear()

    def _take(self, sequence_id: str, length: int) -> Row:
        slab = self._slabs.setdefault(length, Slab(length))
        slab.owners.append(sequence_id)
        row = len(slab.owners) - 1
        for index, (keys, values) in list(slab.layers.items()):
            for part in slab.layer(index, keys[0], values[0]):
                if part.dtype != torch.float32:
                    part[row].zero_()  # small dtypes overflow, and what is no number there would spoil this one
        return Row(slab, row)

    def _free(self, row: Row) -> None:
        slab, last = row.slab, len(row.slab.owners) - 1
        if row.index != last:
            for keys, values in slab.layers.values():
                keys[row.index], values[row.index] = keys[last], values[last]
            slab.owners[row.index] = slab.owners[last]
            self._rows[slab.owners[last]].index = row.index
        slab.owners.pop()
        if slab.owners:
            slab.shrink()
        else:
            del self._slabs[slab.length]


def _read(row: Row, length: int) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    return {i: (k[row.index, :length], v[row.index, :length]) for i, (k, v) in row.slab.layers.items()}


def _copy(layers: dict[int, tuple[torch.Tensor, torch.Tensor]], row: Row) -> None:
    for index, (keys, values) in layers.items():
        to_keys, to_values = row.slab.layer(index, keys, values)
        to_keys[row.index, : keys.shape[0]] = keys
        to_values[row.index, : values.shape[0]] = values
