"""Who asks what and when: one plan, played to every contestant, and the answers as they were seen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bench.models import text_of

PROMPT = (32, 256)  # tokens, both ends included
NEW_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """A closed loop: user `n` of N arrives `n / N` into the ramp, asks, reads the whole answer, and asks the next question.

    `questions[user][turn]` are token ids. In a `conversation` each question follows the turns before it, answers included; else
    each stands alone. Nothing is counted after `cap_s` seconds: a slow contestant is judged by what it did until then.
    """

    questions: list[list[list[int]]]
    ramp_s: float
    new_tokens: int = NEW_TOKENS
    conversation: bool = False
    cap_s: float = 600.0

    @property
    def users(self) -> int:
        return len(self.questions)

    @property
    def answers(self) -> int:
        return sum(map(len, self.questions))

    def arrivals(self) -> list[tuple[float, int]]:
        """(second, user), in order."""
        return [(self.ramp_s * user / self.users, user) for user in range(self.users)]


def make_plan(
    users: int, turns: int, vocabulary: int, ramp_s: float, *, seed: int = 0, conversation: bool = False,
    new_tokens: int = NEW_TOKENS, cap_s: float = 600.0, prompt: tuple[int, int] = PROMPT,
) -> Plan:  # fmt: skip
    """Prompts of seeded uniform lengths and tokens. No two plans share one, or what keeps prefixes would know it already."""
    rng = random.Random(f"{seed}, {users} users, {turns} turns")  # noqa: S311 (a workload, no secret)
    questions = [
        [[rng.randrange(1, vocabulary) for _ in range(rng.randint(*prompt))] for _ in range(turns)] for _ in range(users)
    ]
    return Plan(questions, ramp_s if users > 1 else 0.0, new_tokens, conversation, cap_s)


@dataclass(slots=True)
class Answer:
    """One answer as its asker saw it. Seconds are since the first arrival; `times` are those at which text came."""

    user: int
    turn: int
    asked: float
    times: list[float] = field(default_factory=list)
    text: str = ""
    done: float | None = None
    error: str = ""

    def add(self, text: str, now: float) -> None:
        if text:
            self.times.append(now)
            self.text += text

    @property
    def tokens(self) -> int:
        """One word is one token (bench/models.py)."""
        return len(self.text.split())


@dataclass(slots=True)
class Outcome:
    """What one contestant did with a plan: seconds from the first arrival to the last word, or to the cap."""

    answers: list[Answer]
    wall_s: float
    capped: bool = False


class Talk:
    """What one user has said and heard so far; `next()` is what they ask now, or None when they are done."""

    def __init__(self, plan: Plan, user: int) -> None:
        self._plan, self._left, self._said = plan, list(plan.questions[user]), list[str]()
        self.user, self.turn = user, -1

    def next(self) -> list[str] | None:
        """The turns to send, user and assistant in turn, the user's last."""
        if not self._left:
            return None
        self.turn += 1
        question = text_of(self._left.pop(0))
        self._said = [*self._said, question] if self._plan.conversation else [question]
        return self._said

    def heard(self, answer: str) -> None:
        if self._plan.conversation:
            self._said = [*self._said, answer.strip()]

    def give_up(self) -> int:
        """An answer failed: this user asks no more. How many questions that leaves unasked."""
        unasked, self._left = len(self._left), []
        return unasked
