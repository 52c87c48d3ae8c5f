"""The targets that the engine was built to, each computed from what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CPU_MODELS, GPU_MODELS = ("5M", "30M", "125M"), ("0.6B", "3B")


@dataclass(frozen=True, slots=True)
class Target:
    """`figure` of row `row` divided by that of `other` (or its own `other_figure`), held against `bound`."""

    says: str
    bound: float
    row: str
    other: str
    figure: str = "per_cpu_s"
    other_figure: str = ""
    users: int = 32
    scenario: str = "questions"
    at_most: bool = False
    models: tuple[str, ...] = CPU_MODELS
    device: str = "cpu"

    def ratio(self, rows: dict[tuple[Any, ...], dict[str, Any]], model: str) -> tuple[float, float, float, bool] | None:
        """(ratio, the figure, the other, whether both are of one run); None if one of them is missing."""
        mine = rows.get((model, self.device, self.scenario, self.users, self.row), {})
        theirs = rows.get((model, self.device, self.scenario, self.users, self.other), {})
        value, base = mine.get(self.figure), theirs.get(self.other_figure or self.figure)
        if not value or not base:
            return None
        return value / base, value, base, mine["run"] == theirs["run"]


TARGETS = (
    Target("tokens per CPU second at 32 users, (e) to (a)", 5.0, "e", "a", models=("5M",)),
    Target("tokens per CPU second at 32 users, (e) to (a)", 4.5, "e", "a", models=("30M", "125M")),
    Target("tokens per CPU second at 32 users, (e) to (d)", 1.5, "e", "d"),
    Target("tokens per CPU second at 32 users, (e) to the bound (g)", 0.8, "e", "g"),
    Target("tokens per CPU second in conversations of 32 users, (e) to (a)", 6.0, "e", "a", scenario="conversations"),
    Target("time to first token p95 at 32 users, (e) to (a)", 0.1, "e", "a", figure="first_p95", at_most=True),
    Target("between tokens at 32 users, (e)'s p95 to its p50", 3.0, "e", "e", "between_p95", "between_p50", at_most=True),
    Target("tokens per second at 1 user, (e) to (a)", 0.95, "e", "a", figure="per_s", users=1),
    Target("tokens per CPU second at 32 users, (f) to (e)", 0.9, "f", "e"),
    Target(
        "tokens per second at batch 64 on a GPU, (e) to the bound (g)", 0.85, "e", "g", "per_s", users=64, models=GPU_MODELS,
        device="cuda",
    ),
)  # fmt: skip


def table(results: dict[str, Any]) -> str:
    """A row for each target and model."""
    key = ("model", "device", "scenario", "users", "row")
    rows = {tuple(row[name] for name in key): row for row in results["rows"]}
    lines = ["| target | model | asked | measured | figures | |", "|---|---|---:|---:|---:|---|"]
    for target in TARGETS:
        for model in target.models:
            lines.append(line(target, model, target.ratio(rows, model)))
    return "\n".join(lines)


def line(target: Target, model: str, found: tuple[float, float, float, bool] | None) -> str:
    asked = f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
    if found is None:
        return f"| {target.says} | {model} | {asked} | | | not measured |"
    ratio, value, base, one_run = found
    met = ratio <= target.bound if target.at_most else ratio >= target.bound
    verdict = ("met" if met else "**not met**") + ("" if one_run else ", from two runs")
    return f"| {target.says} | {model} | {asked} | {ratio:.3g} | {value:.4g} to {base:.4g} | {verdict} |"
