from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.kv import SMALLEST, SPARE, KeyValueCache, row_length

HEADS, SIZE = 1, 2


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
    cache, held = KeyValueCache(2000), dict[str, int]()
    for name, count, leaves in acts:
        if leaves:
            cache.release(name)
            held.pop(name, None)
        else:
            write(cache, name, held.get(name, 0), count, 0)
            held[name] = held.get(name, 0) + count
        for one, length in held.items():
            assert read(cache, one, length) == wanted(one, length)
        for slab in cache._slabs.values():
            rows = slab.layers[0][0].shape[0]
            assert len(slab.owners) <= rows <= max(2 * len(slab.owners), int(SPARE * len(slab.owners))), "no more than is of use"


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
