"""Plays a plan to something in this process, from one thread."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable

from bench.plan import Answer, Outcome, Plan, Talk

# Text that came, or None at the end; the second is what went wrong ("" if nothing did).
Tell = Callable[[str | None, str], None]
Ask = Callable[[int, list[str], int, Tell], None]  # user, turns, new tokens: returns at once


def drive(plan: Plan, ask: Ask) -> Outcome:
    """Ask as the plan says. `ask` must return at once and may `tell` from any thread."""
    start, ended = time.perf_counter(), queue.SimpleQueue[Answer]()
    talks = [Talk(plan, user) for user in range(plan.users)]
    arrivals, answers, left = deque(plan.arrivals()), list[Answer](), plan.answers

    def put(talk: Talk) -> None:
        if (turns := talk.next()) is None:
            return
        answer = Answer(talk.user, talk.turn, time.perf_counter() - start)
        answers.append(answer)

        def tell(text: str | None, error: str) -> None:
            now = time.perf_counter() - start
            if text is not None:
                answer.add(text, now)
            else:
                answer.done, answer.error = now, error
                ended.put(answer)

        ask(talk.user, turns, plan.new_tokens, tell)

    while left and (now := time.perf_counter() - start) < plan.cap_s:
        while arrivals and arrivals[0][0] <= now:
            put(talks[arrivals.popleft()[1]])
        until = min(arrivals[0][0] if arrivals else plan.cap_s, plan.cap_s)
        try:
            answer = ended.get(timeout=max(until - (time.perf_counter() - start), 0.0))
        except queue.Empty:
            continue
        talk = talks[answer.user]
        left -= 1 + (talk.give_up() if answer.error else 0)
        talk.heard(answer.text)
        put(talk)
    return Outcome(answers, time.perf_counter() - start, capped=left > 0)
