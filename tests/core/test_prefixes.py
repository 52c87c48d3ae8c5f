from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.prefixes import LEAST, Prefixes, Source, common_length

LONG = list(range(1000, 1000 + 2 * LEAST))


@settings(deadline=None)
@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2), max_size=40))
def test_common_length_is_that_of_the_longest_common_beginning(left: list[int], right: list[int], both: list[int]) -> None:
    left, right = both + left, both + right
    length = common_length(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or length == min(len(left), len(right))


def test_the_one_that_shares_the_most_is_found() -> None:
    prefixes = Prefixes()
    prefixes.keep("short", "ada", LONG[:LEAST])
    prefixes.keep("long", "ada", [*LONG, 1, 2])
    prefixes.keep("other", "ada", [5] * 100)
    assert prefixes.find("ada", [*LONG, 1, 9], ()) == Source("long", len(LONG) + 1)
    assert prefixes.find("ada", [*LONG[: LEAST - 1], 9, 9], ()) is None


def test_what_is_kept_already_is_not_kept_twice_and_the_longer_outgrows_the_shorter() -> None:
    prefixes = Prefixes()
    assert prefixes.keep("first turn", "ada", LONG[:LEAST])
    assert prefixes.keep("both turns", "ada", LONG)
    assert prefixes.pop_outgrown("both turns") == ["first turn"]
    assert not prefixes.keep("again", "ada", LONG[:LEAST])
    assert not prefixes.keep("tiny", "ada", [1])
    assert prefixes.tokens == len(LONG)
    assert prefixes.pop_oldest("") == "both turns"
    assert prefixes.tokens == 0
    assert prefixes.pop_oldest("") is None


def test_nobody_is_served_what_was_computed_for_another_person() -> None:
    prefixes = Prefixes()
    prefixes.keep("secret", "ada", LONG)
    assert prefixes.find("bob", LONG, ()) is None
    assert prefixes.keep("same", "bob", LONG), "his own is kept besides"
    assert prefixes.find("bob", LONG, ()) == Source("same", len(LONG))
