from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.kv import SMALLEST, KeyValueCache, row_length
from core.engine.pages import LINUX, discard, zeros

HEADS, SIZE = 1, 2
TOKEN = 2 * HEADS * SIZE * 4  # bytes


def resident() -> int:
    """What the process takes of memory of its own, in bytes."""
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) * 1024


def write(cache: KeyValueCache, name: str, start: int, count: int, reach: int) -> None:
    """As a step does: keys and values that say whose they are and where."""
    row = cache.row(name, start, start + count, reach)
    mark = torch.arange(start, start + count)[:, None, None] + 1000.0 * (1 + hash(name) % 97)
    new = mark.expand(count, HEADS, SIZE)
    keys, values = row.slab.layer(0, new, new)
    keys[row.index, start : start + count], values[row.index, start : start + count] = new, -new


def read(cache: KeyValueCache, name: str, count: int) -> list[float]:
    row = cache.row(name, count, count, count)
    return [float(number) for number in row.slab.layers[0][0][row.index, :count, 0, 0]]


def wanted(name: str, count: int) -> list[float]:
    return [place + 1000.0 * (1 + hash(name) % 97) for place in range(count)]


def test_a_row_is_at_most_half_as_long_again_as_it_must_be_and_no_longer_than_a_sequence_can_be() -> None:
    for tokens in range(1, 3000):
        length = row_length(tokens, 10**6)
        assert tokens <= length <= max(SMALLEST, tokens * 1.5)
        assert row_length(tokens, max(tokens, 700)) <= max(tokens, 700)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 300), st.booleans()), max_size=40))
@settings(deadline=None)
def test_rows_keep_what_is_theirs_however_others_come_grow_and_go(acts: list[tuple[str, int, bool]]) -> None:
    cache, held, most = KeyValueCache(2000), dict[str, int](), 0
    for name, count, leaves in acts:
        if leaves:
            cache.release(name)
            held.pop(name, None)
        else:
            write(cache, name, held.get(name, 0), count, 0)
            held[name] = held.get(name, 0) + count
        for one, length in held.items():
            assert read(cache, one, length) == wanted(one, length)
        lengths = [row.slab.length for row in cache._rows.values()]
        most = max(most, sum(lengths) + max(lengths, default=0))  # one that moves has two rows for a moment
        assert not LINUX or cache.nbytes <= most * TOKEN, "idle rows take more than those in use once did"


@pytest.mark.skipif(not LINUX, reason="elsewhere spare rows take memory")
def test_what_leaves_takes_no_memory_and_neither_do_spare_rows() -> None:
    """Rows of different lengths come and go: what the process takes is what is in them, not the most that ever was."""
    cache, wide, before = KeyValueCache(2000), torch.ones(1, 64, 512), resident()
    for turn in range(4):
        for number in range(40):
            name = f"{turn} {number}"
            row = cache.row(name, 0, 100 + 300 * (turn % 2), 0)
            for held in row.slab.layer(0, wide[0, :, None], wide[0, :, None]):
                held[row.index, : row.filled] = 1.0
        del held, row
        for number in range(40):
            cache.release(f"{turn} {number}", keep=20 if number == 39 else 0)
    kept = sum(part.nbytes for layers in cache._kept.values() for pair in layers.values() for part in pair)
    assert cache.nbytes == kept
    assert resident() - before < 30e6, "of the 130 MB that the rows took"


@pytest.mark.skipif(not LINUX, reason="elsewhere nothing is given back")
def test_what_is_discarded_is_zeros_and_its_neighbours_are_as_they_were() -> None:
    rows = zeros((3, 1000, 2, 2), torch.ones(1))
    rows.fill_(1.0)
    discard(rows[1])
    assert rows[0].min() == rows[2].min() == 1.0
    assert rows[1].sum() < 1000, "but for the ends of pages that the neighbours share"


def test_what_is_kept_begins_another() -> None:
    cache = KeyValueCache(1000)
    write(cache, "a", 0, 50, 60)
    cache.release("a", keep=40)
    cache.reuse("b", 200, "a", 30)
    assert read(cache, "b", 30) == wanted("a", 30)
    cache.release("a")
    cache.reuse("c", 40, "b", 20)
    assert read(cache, "c", 20) == wanted("a", 20)


def test_what_a_token_takes_is_read_off_the_rows() -> None:
    cache = KeyValueCache(1000)
    assert cache.token_bytes == 0
    write(cache, "a", 0, 5, 5)
    assert cache.token_bytes == 2 * HEADS * SIZE * 4
