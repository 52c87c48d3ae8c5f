"""From what was seen of a round to its figures, the same way for every row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Figures = dict[str, float]
SMALLEST_BEST = ("first_p50", "first_p95", "between_p50", "between_p95")


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def figures(played: dict[str, Any]) -> Figures:
    """One round's figures: tokens a second and a CPU second, seconds to and between texts, megabytes at most.

    An answer that had no text yet when the round was cut counts with the time that it had waited, which is in its favour.
    """
    if "answers" not in played:
        tokens = float(played["tokens"])
        return {**_rates(tokens, played), "prefill_share": played["prefill_s"] / played["wall_s"]}
    answers, wall = played["answers"], played["wall_s"]
    firsts = [(answer["times"][0] if answer["times"] else wall) - answer["asked"] for answer in answers]
    gaps = [after - before for answer in answers for before, after in zip(answer["times"], answer["times"][1:], strict=False)]
    tokens = float(sum(len(answer["text"].split()) for answer in answers))
    latencies = {
        "first_p50": percentile(firsts, 0.5), "first_p95": percentile(firsts, 0.95),
        "between_p50": percentile(gaps, 0.5), "between_p95": percentile(gaps, 0.95),
    }  # fmt: skip
    return {**_rates(tokens, played), **latencies, "capped": float(played["capped"])}


def _rates(tokens: float, played: dict[str, Any]) -> Figures:
    found = {"tokens": tokens, "per_s": tokens / played["wall_s"], "per_cpu_s": tokens / max(played["cpu_s"], 1e-9)}
    found["peak_mb"] = played.get("gpu_mb") or played["peak_mb"]
    return found


def median(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure over the rounds, but the largest peak of memory."""
    merged = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return merged | {"peak_mb": max(one["peak_mb"] for one in rounds), "rounds": float(len(rounds))}


def texts(played: dict[str, Any]) -> dict[tuple[int, int], str]:
    """The whole answers by user and turn."""
    return {
        (answer["user"], answer["turn"]): " ".join(answer["text"].split())
        for answer in played.get("answers", ())
        if answer["done"] is not None and not answer["error"]
    }


def errors(played: dict[str, Any]) -> list[str]:
    return [answer["error"] for answer in played.get("answers", ()) if answer["error"]]


def short_answers(played: dict[str, Any], new_tokens: int) -> int:
    """How many answers ended with another number of tokens than was asked for: figures of unequal work do not compare."""
    return sum(len(text.split()) != new_tokens for text in texts(played).values())
