"""What was computed for ended sequences and may begin a later prompt: a conversation's earlier turns, a shared system prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.engine.scheduler import Sequence

LEAST = 16  # tokens; copying fewer saves nothing worth its bookkeeping


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence, running or ended, whose first `length` computed tokens are the same."""

    id: str
    length: int


class Prefixes:
    """The token ids of what the runner keeps, the least recently used first.

    Nobody is served what was computed for another person: how soon an answer begins would tell what they had asked.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, list[int]]] = OrderedDict()
        self.tokens = 0

    def keep(self, sequence_id: str, user_id: str, tokens: list[int]) -> bool:
        """Keep `tokens`, unless they are too few or kept already; whether they are."""
        known = any(owner == user_id and kept[: len(tokens)] == tokens for owner, kept in self._kept.values())
        if len(tokens) < LEAST or known:
            return False
        self._kept[sequence_id] = (user_id, tokens)
        self.tokens += len(tokens)
        return True

    def pop_outgrown(self, sequence_id: str) -> list[str]:
        """Forget those that a kept sequence begins with, such as its own conversation's earlier turns; their ids."""
        mine, whole = self._kept[sequence_id]
        outgrown = [
            one for one, (owner, kept) in self._kept.items()
            if one != sequence_id and owner == mine and whole[: len(kept)] == kept
        ]  # fmt: skip
        for one in outgrown:
            self.tokens -= len(self._kept.pop(one)[1])
        return outgrown

    def find(self, user_id: str, prompt: list[int], running: Iterable[Sequence]) -> Source | None:
        """Which of the person's sequences `prompt` shares the most computed tokens with, at least LEAST."""
        best: Source | None = None
        for sequence_id, (owner, kept) in self._kept.items():
            if owner == user_id:
                best = _longer(best, sequence_id, prompt, kept)
        for sequence in running:
            if sequence.user_id == user_id and sequence.computed >= LEAST:
                best = _longer(best, sequence.id, prompt, sequence.read(0, min(sequence.computed, len(prompt))))
        if best and best.id in self._kept:
            self._kept.move_to_end(best.id)
        return best

    def pop_oldest(self, but: str) -> str | None:
        """Forget the least recently used but one; its id, or None if there is no other."""
        oldest = next((sequence_id for sequence_id in self._kept if sequence_id != but), None)
        if oldest is not None:
            self.tokens -= len(self._kept.pop(oldest)[1])
        return oldest


def _longer(best: Source | None, sequence_id: str, prompt: list[int], tokens: list[int]) -> Source | None:
    least = max(best.length if best else 0, LEAST - 1) + 1
    if prompt[:least] != tokens[:least] or min(len(prompt), len(tokens)) < least:
        return best
    return Source(sequence_id, common_length(prompt, tokens))


def common_length(left: list[int], right: list[int]) -> int:
    """How many tokens both begin with. By halving, since Python compares slices in C."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
