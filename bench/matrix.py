"""Which contestant plays which plan how often: rows in turn, round after round, so that all see the same machine."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import figures, servers
from bench.contestants import Contestant, Crashed, InProcess
from bench.models import Shape
from bench.plan import NEW_TOKENS, Plan, make_plan

ROWS = {
    "a": "one `generate` at a time",
    "b": "a thread for each request, TextIteratorStreamer",
    "c": "Gradio's ChatInterface, over HTTP",
    "d": "`transformers serve`, continuous batching, over HTTP",
    "e": "Portico's engine",
    "f": "Portico over HTTP, through the guard",
    "t": "Transformers' continuous batching as an Engine",
    "T": "the same with an attention function for CPUs",
    "g": "the bound: bare forward passes",
}
# More users only make these wait longer, and what a token costs them does not change: after so many seconds they are cut, but
# for (a) where its waiting time is a target. (b) reads all prompts first, so that a short cut would be unfair to it.
CAPS_S = {"a": 20.0, "b": 120.0, "c": 20.0}
EVERYWHERE, TARGET = "adefg", (1, 32)  # the rows at each number of users; every row is there at these two
GPU_ROWS, GPU_TARGET = "ateg", 64
FULL_CAP_S = 600.0
BUDGET_S = 60.0  # a row that has taken this long at one number of users gets no further round
SHARE = 4  # of the users of a long conversation, every fourth plays against (a)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the matrix to run. Empty `rows` are those of the matrix; `turns` 0 likewise."""

    users: tuple[int, ...] = (1, 4, 16, 32, 64)
    rows: str = ""
    rounds: int = 3
    turns: int = 0
    conversations: bool = True
    threads: int = 0
    device: str = "cpu"
    new_tokens: int = NEW_TOKENS
    prompt: tuple[int, int] = (32, 256)

    def rows_at(self, users: int) -> str:
        full = self.device == "cpu" and users in TARGET
        default = GPU_ROWS if self.device == "cuda" else "".join(ROWS) if full else EVERYWHERE
        return "".join(row for row in self.rows or default if row != "T" or self.device == "cpu")

    def turns_at(self, users: int) -> int:
        return self.turns or (2 if users in (*TARGET, GPU_TARGET) else 1)


class Pool:
    """The contestants of one model, started when they are first needed, and anew after a cap or a crash."""

    def __init__(self, shape: Shape, folder: Path, scope: Scope, logs: Path) -> None:
        self._shape, self._folder, self._scope, self._logs = shape, folder, scope, logs
        self._running: dict[str, Contestant] = {}
        self._scratch = tempfile.TemporaryDirectory(prefix="portico-bench-")

    def play(self, row: str, plan: Plan) -> dict[str, Any]:
        """Raises Crashed."""
        if row not in self._running:
            self._running[row] = self._start(row)
            self._play(row, replace(self._plan(2, 1), cap_s=FULL_CAP_S))  # to warm up: caches, threads, lazy starts
        return self._play(row, plan)

    def _play(self, row: str, plan: Plan) -> dict[str, Any]:
        try:
            played = self._running[row].play(plan)
        except Crashed:
            self._end(row)
            raise
        if played.get("capped"):  # it still works at what nobody waits for
            self._end(row)
        return played

    def _plan(self, users: int, turns: int) -> Plan:
        return make_plan(users, turns, self._shape.vocabulary, 0.1, seed=99, new_tokens=self._scope.new_tokens, prompt=(48, 48))

    def _start(self, row: str) -> Contestant:
        log = self._logs / f"{self._shape.name}-{row}.log"
        device, threads = self._scope.device, self._scope.threads
        if row == "c":
            return servers.gradio(self._folder, device, log, threads)
        if row == "d":
            return servers.transformers_serve(self._folder, device, log, threads)
        if row == "f":
            data = Path(tempfile.mkdtemp(dir=self._scratch.name))
            return servers.portico(self._folder, device, data, log, threads, max(self._scope.users))
        return InProcess(row, self._folder, device, log, threads)

    def _end(self, row: str) -> None:
        if contestant := self._running.pop(row, None):
            contestant.stop()

    def stop(self) -> None:
        for row in list(self._running):
            self._end(row)
        self._scratch.cleanup()


def measure(
    pool: Pool, rows: str, rounds: int, plan_of: Callable[[str, int], Plan], name: str, new_tokens: int, stride: int = 1
) -> dict[str, dict[str, Any]]:
    """Each row's figures, or `why` there are none. `plan_of(row, round)` is the same for every row but in what its cap says.

    (a)'s user n is the others' user `stride * n`, where it plays for fewer of them.
    """
    played: dict[str, list[figures.Figures]] = {row: [] for row in rows}
    found: dict[str, dict[str, Any]] = {row: {} for row in rows}
    first: dict[tuple[int, int], str] = {}
    spent = dict.fromkeys(rows, 0.0)
    for number in range(rounds):
        for row in rows:
            if "why" in found[row] or (number and spent[row] >= BUDGET_S):
                continue
            begun = time.monotonic()
            try:
                seen = pool.play(row, plan_of(row, number))
            except Crashed as error:
                found[row]["why"] = str(error)
                tell(f"{name} {row}: {error}")
                continue
            spent[row] += time.monotonic() - begun
            if wrong := complaint(seen, new_tokens):
                found[row]["why"] = wrong
                tell(f"{name} {row}: {wrong}")
                continue
            played[row].append(figures.figures(seen))
            if number == 0:
                if row == "a":
                    first = {(user * stride, turn): text for (user, turn), text in figures.texts(seen).items()}
                found[row] |= same_as(first, figures.texts(seen)) if row not in "ag" else {}
            tell(f"{name} {row} round {number + 1}: {played[row][-1]['per_cpu_s']:.1f} tokens per CPU second, {spent[row]:.0f} s")
    return {row: found[row] if "why" in found[row] else found[row] | figures.median(played[row]) for row in rows}


def complaint(seen: dict[str, Any], new_tokens: int) -> str:
    """Why a round does not count: a failed answer, or one of another length."""
    if failed := figures.errors(seen):
        return f"{len(failed)} of {len(seen['answers'])} answers failed: {failed[0]}"
    wrong = figures.short_answers(seen, new_tokens)
    return f"{wrong} answers were not {new_tokens} tokens long" if wrong else ""


def same_as(expected: dict[tuple[int, int], str], texts: dict[tuple[int, int], str]) -> dict[str, float]:
    """The share of answers that say what (a)'s said to the same question."""
    both = expected.keys() & texts.keys()
    return {"same": sum(expected[key] == texts[key] for key in both) / len(both)} if both else {}


def run_model(shape: Shape, folder: Path, scope: Scope, logs: Path) -> Iterable[tuple[str, int, str, dict[str, Any]]]:
    """(scenario, users, row, figures) as they come, the fewest users first, since memory is not given back."""
    pool = Pool(shape, folder, scope, logs)
    try:
        for users in scope.users:
            yield from _questions(pool, shape, scope, users)
        if scope.conversations and scope.device == "cpu" and max(scope.users) >= TARGET[1]:
            yield from _conversations(pool, shape, scope, TARGET[1])
    finally:
        pool.stop()


def _questions(pool: Pool, shape: Shape, scope: Scope, users: int) -> Iterable[tuple[str, int, str, dict[str, Any]]]:
    rounds = scope.rounds if users in (*TARGET, GPU_TARGET) else 1

    def plan_of(row: str, number: int) -> Plan:
        cap = FULL_CAP_S if users == 1 or (row == "a" and users in TARGET) else CAPS_S.get(row, FULL_CAP_S)
        return make_plan(
            users, scope.turns_at(users), shape.vocabulary, shape.ramp_s, seed=number, new_tokens=scope.new_tokens,
            cap_s=cap, prompt=scope.prompt,
        )  # fmt: skip

    found = measure(pool, scope.rows_at(users), rounds, plan_of, f"{shape.name}, {users} users,", scope.new_tokens)
    for row, values in found.items():
        yield "questions", users, row, values


def _conversations(pool: Pool, shape: Shape, scope: Scope, users: int) -> Iterable[tuple[str, int, str, dict[str, Any]]]:
    def plan_of(row: str, number: int) -> Plan:
        plan = make_plan(
            users, 3, shape.vocabulary, shape.ramp_s, seed=100 + number, conversation=True,
            new_tokens=scope.new_tokens, cap_s=FULL_CAP_S, prompt=scope.prompt,
        )  # fmt: skip
        return replace(plan, questions=plan.questions[::SHARE]) if row == "a" else plan

    rows = "".join(row for row in "ae" if not scope.rows or row in scope.rows)
    found = measure(pool, rows, scope.rounds, plan_of, f"{shape.name}, {users} in conversation,", scope.new_tokens, SHARE)
    for row, values in found.items():
        yield "conversations", users, row, values


def tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
