"""Who waits, and whose turn is next: fair between people, and bounded. Pure: no clock and no thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from core.errors import Busy

SHARE = 4  # of the places in the line, one person may have a quarter


class Waiting(Protocol):
    """What may stand in a line."""

    @property
    def id(self) -> str: ...

    @property
    def user_id(self) -> str: ...


One = TypeVar("One", bound=Waiting)


class Line(Generic[One]):
    """At most `most` wait, a quarter of them one person's."""

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._waiting: list[One] = []  # in order of arrival
        self._served: dict[str, int] = {}  # when each person was let in last in this round, as a count
        self._turns = 0
        self._round_is_over = False

    def __contains__(self, one: object) -> bool:
        return one in self._waiting

    def check(self, user_id: str) -> None:
        """Raises Busy when as many wait already as may, in all or of this person."""
        theirs = sum(1 for one in self._waiting if one.user_id == user_id)
        if len(self._waiting) >= self._most:
            raise Busy(len(self._waiting))
        if theirs >= max(1, self._most // SHARE):
            raise Busy(theirs, own=True)

    def add(self, one: One) -> None:
        """Let `one` stand at the end; raises Busy as `check` does."""
        self.check(one.user_id)
        self._waiting.append(one)

    def put_back(self, one: One) -> None:
        """Let one that was let in before stand at the head, however many wait; that turn does not count."""
        self._served.pop(one.user_id, None)
        self._waiting.insert(0, one)

    def remove(self, one: One) -> None:
        """Take out `one`, which must be here."""
        self._waiting.remove(one)

    def let_in(self, one: One) -> None:
        """Take out `one`, whose turn it is, and remember that this person has had one."""
        self._waiting.remove(one)
        self._round_is_over |= one.user_id in self._served
        self._turns += 1
        self._served[one.user_id] = self._turns

    def find(self, waiting_id: str) -> One | None:
        return next((one for one in self._waiting if one.id == waiting_id), None)

    def ordered(self, running: Iterable[str] = ()) -> list[One]:
        """Who waits, in the order in which they will be let in: round-robin between people, then by arrival.

        Next is whoever has the fewest `running` (a user's id for each), and among those whoever was let in least recently, so
        that one person's ten requests do not delay another's first. A round is over when somebody is let in for a second time.
        Until then a turn counts, though its person has left: who asks again as soon as they are answered would else be new each
        time, and two of them keep everybody out who waits for a second turn.
        """
        ahead = Counter(running)
        if self._round_is_over or not self._waiting:
            here = ahead.keys() | {one.user_id for one in self._waiting}
            self._served = {user: turn for user, turn in self._served.items() if user in here}
            self._round_is_over = False
        turns = []
        for arrival, one in enumerate(self._waiting):
            turns.append((ahead[one.user_id], self._served.get(one.user_id, 0), arrival))
            ahead[one.user_id] += 1
        return [self._waiting[arrival] for *_, arrival in sorted(turns)]
