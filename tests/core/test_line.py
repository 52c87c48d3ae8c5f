from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.line import Line
from core.errors import Busy


@dataclass(eq=False)
class One:
    id: str

    @property
    def user_id(self) -> str:
        return self.id.split("-")[0]


def line_of(*names: str, most: int = 128) -> Line[One]:
    line: Line[One] = Line(most)
    for name in names:
        line.add(One(name))
    return line


def ids(line: Line[One], running: tuple[str, ...] = ()) -> list[str]:
    return [one.id for one in line.ordered(running)]


def serve(line: Line[One]) -> str:
    one = line.ordered()[0]
    line.let_in(one)
    return one.id


def test_it_is_round_robin_between_people_and_then_by_arrival() -> None:
    line = line_of("ada-0", "ada-1", "ada-2", "bob-0", "cleo-0", "bob-1")
    assert ids(line) == ["ada-0", "bob-0", "cleo-0", "ada-1", "bob-1", "ada-2"]
    assert ids(line, running=("ada", "ada")) == ["bob-0", "cleo-0", "bob-1", "ada-0", "ada-1", "ada-2"]


def test_one_at_a_time_one_persons_ten_do_not_delay_anothers_first() -> None:
    """Nobody runs when the next is let in, so that the order must know who had the last turn."""
    line = line_of(*(f"ada-{number}" for number in range(10)))
    assert serve(line) == "ada-0"
    line.add(One("bob-0"))
    line.add(One("bob-1"))
    assert [serve(line) for _ in range(5)] == ["bob-0", "ada-1", "bob-1", "ada-2", "ada-3"]


def test_who_comes_again_at_once_keeps_nobody_from_a_second_turn() -> None:
    """One runs at a time, and each of the others asks anew when they have been answered: somebody new is always waiting."""
    line, served = line_of("ada-0", "ada-1", "bob-0", "cleo-0", "dan-0"), [""]
    for number in range(1, 13):
        ids(line)  # nobody runs for a moment
        before, now = served[-1], serve(line)
        served.append(now)
        ids(line, running=(now.split("-")[0],))  # as at each of the steps that it takes
        if before and not before.startswith("ada"):
            line.add(One(f"{before.split('-')[0]}-{number}"))
    assert served[1:6] == ["ada-0", "bob-0", "cleo-0", "dan-0", "ada-1"]


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(4, 8))
def test_one_at_a_time_nobody_waits_for_more_than_two_turns_of_each_person(chance: Random, people: int) -> None:
    """Ada always has a second request waiting; the others come and go."""
    line, since, last = line_of("ada-0", "ada-1"), 0, ""
    for number in range(100):
        for person in map(str, range(1, people)):
            if person != last and not line.find(person) and chance.random() < 0.9:
                line.add(One(person))
        last, since = serve(line), since + 1
        assert since <= 2 * people
        if last.startswith("ada"):
            since = 0
            line.add(One(f"ada-{number + 2}"))
        line.ordered([last.split("-")[0]])
        line.ordered()


def test_it_is_bounded_for_all_and_for_each() -> None:
    line = line_of("ada-0", "ada-1", most=8)
    with pytest.raises(Busy, match="2 requests of yours are waiting") as own:
        line.add(One("ada-2"))
    assert (own.value.own, own.value.waiting) == (True, 2)
    for number in range(6):
        line.add(One(f"{number}-0"))
    with pytest.raises(Busy, match="8 requests are waiting") as full:
        line.check("late")
    assert not full.value.own
    assert len(ids(line)) == 8


def test_one_that_is_put_back_stands_at_the_head_though_the_line_is_full() -> None:
    line = line_of("ada-0", "bob-0", most=2)
    first = line.ordered()[0]
    line.remove(first)
    line.add(One("cleo-0"))
    line.put_back(first)
    assert ids(line) == ["ada-0", "bob-0", "cleo-0"]


def test_a_turn_that_was_taken_back_does_not_count() -> None:
    line = line_of("ada-0", "bob-0")
    first = line.ordered()[0]
    line.let_in(first)
    line.put_back(first)
    assert ids(line) == ["ada-0", "bob-0"]


def test_who_has_left_is_not_found() -> None:
    line = line_of("ada-0", "bob-0")
    ada = line.find("ada-0")
    assert ada is not None
    assert ada in line
    line.remove(ada)
    assert ada not in line
    assert line.find("ada-0") is None
    assert line.find("nobody") is None


def test_who_has_left_and_comes_again_is_as_new() -> None:
    line = line_of("ada-0")
    assert serve(line) == "ada-0"
    assert ids(line) == []
    line.add(One("ada-1"))
    line.add(One("bob-0"))
    assert ids(line) == ["ada-1", "bob-0"], "an earlier turn of hers does not put her behind whoever came later"


def test_who_runs_still_has_had_a_turn() -> None:
    line = line_of("ada-0")
    line.let_in(line.ordered()[0])
    line.add(One("ada-1"))
    assert ids(line, running=("ada",)) == ["ada-1"]
    line.add(One("bob-0"))
    assert ids(line) == ["bob-0", "ada-1"]
