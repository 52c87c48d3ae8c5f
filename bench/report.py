"""bench/results.json, which partial runs merge into, and bench/results.md, which is written from it."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench import targets
from bench.matrix import ROWS
from limits.machine import cpu_name

Results = dict[str, Any]  # runs: {id: machine and date}; rows: [...]; models: {name: parameters}; guard: {...}
COLUMNS = (
    ("tokens/s", "per_s", 1), ("tokens per CPU s", "per_cpu_s", 1), ("first token p50 s", "first_p50", 1),
    ("p95 s", "first_p95", 1), ("between tokens p50 ms", "between_p50", 1000), ("p95 ms", "between_p95", 1000),
    ("peak MB", "peak_mb", 1),
)  # fmt: skip
UPDATES = "f"  # sends some twelve updates a second, not token by token
WHY = "Why one is not met, by a profile, and what was tried: [docs/benchmarks.md](../docs/benchmarks.md#what-f-pays-over-e)."
NOTES = (
    "Peak memory is that of the whole process: of (e), (t), (a), (b) and (g) with what asks them, of (f) with both frontends. "
    '*: between updates of the text, which Portico coalesces. "Same answers": the share that says word for word what (a) says. '
    '"Over": the row was cut before everyone had a first token.'
)


def read(file: Path) -> Results:
    empty: Results = {"runs": {}, "rows": [], "models": {}, "guard": {}}
    return empty | json.loads(file.read_text(encoding="utf-8")) if file.is_file() else empty


def machine(device: str = "cpu") -> str:
    """This machine in a line."""
    memory = psutil.virtual_memory().total / 2**30
    name = cpu_name()
    if device == "cuda":
        import torch

        name = f"{torch.cuda.get_device_name()}, {name}"
    software = f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}"
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} on {platform.machine()}, {software}"


def new_run(results: Results, device: str, note: str) -> str:
    """Write down this machine, and give the id that this run's rows bear."""
    now = datetime.now(UTC)
    run = f"{now:%Y-%m-%dT%H:%M:%S}"
    results["runs"][run] = {"date": f"{now:%Y-%m-%d}", "machine": machine(device), "note": note}
    return run


def put(results: Results, row: dict[str, Any]) -> None:
    """Add `row` in the place of an earlier one of the same model, device, scenario, users and contestant."""
    key = ("model", "device", "scenario", "users", "row")
    results["rows"] = [one for one in results["rows"] if any(one[name] != row[name] for name in key)] + [row]


def write(results: Results, data: Path, page: Path) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    used = {row["run"] for row in results["rows"]} | {results["guard"].get("run")}
    results["runs"] = {run: about for run, about in results["runs"].items() if run in used}
    data.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    page.write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    parts = [
        "# Benchmarks",
        "Written by `make bench`; [docs/benchmarks.md](../docs/benchmarks.md) says how the figures are made.",
    ]
    for run, about in sorted(results["runs"].items()):
        parts.append(f"- {about['date']} (run {run}{about['note'] and ', ' + about['note']}): {about['machine']}")
    if results["rows"]:
        table = targets.table(results)
        parts += ["## The engine's targets", table, *([WHY] if "**not met**" in table else []), "## The engine", NOTES]
        for model, device in sorted({(row["model"], row["device"]) for row in results["rows"]}, key=size_of(results)):
            parts += model_part(results, model, device)
    if figures := results["guard"].get("figures"):
        parts += ["## The guard", results["guard"]["what"], guard_table(figures)]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ") + "\n"


def size_of(results: Results) -> Any:
    return lambda key: (key[1], results["models"].get(key[0], 0))


def model_part(results: Results, model: str, device: str) -> list[str]:
    count = results["models"].get(model, 0) / 1e6
    parts = [f"### {model} ({count:,.0f} million parameters, {'GPU' if device == 'cuda' else 'CPU'})"]
    rows = [row for row in results["rows"] if (row["model"], row["device"]) == (model, device)]
    for scenario, users in sorted(
        {(row["scenario"], row["users"]) for row in rows}, key=lambda key: (key[0] != "questions", key)
    ):
        found = [row for row in rows if (row["scenario"], row["users"]) == (scenario, users)]
        title = f"{users} user{'s' if users > 1 else ''}" + (", earlier turns repeat" if scenario == "conversations" else "")
        parts += [f"**{title}**", rows_table(sorted(found, key=lambda row: list(ROWS).index(row["row"])))]
    return parts


def rows_table(rows: list[dict[str, Any]]) -> str:
    names = [name for name, _, _ in COLUMNS]
    lines = [f"| | {' | '.join(names)} | rounds | same answers |", "|---|" + "---:|" * (len(names) + 2)]
    for row in rows:
        title = f"({row['row']}) {ROWS[row['row']]}"
        if why := row.get("why"):
            lines.append(f"| {title} | not measured: {why.replace('|', '/')} |" + " |" * (len(names) + 1))
            continue
        cells = [cell(row, key, scale) for _, key, scale in COLUMNS]
        same = f"{row['same']:.0%}" if "same" in row else ""
        lines.append(f"| {title} | {' | '.join(cells)} | {row['rounds']:.0f} | {same} |")
    return "\n".join(lines)


def cell(row: dict[str, Any], key: str, scale: float) -> str:
    if key not in row:
        return ""
    value = row[key] * scale
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    if key == "first_p95" and row.get("capped"):
        return f"over {text}"
    return text + ("*" if key.startswith("between") and row["row"] in UPDATES else "")


def guard_table(figures: dict[str, float]) -> str:
    rows = [f"| {name} | {figure:.0f} |" if figure >= 100 else f"| {name} | {figure:.3g} |" for name, figure in figures.items()]
    return "\n".join(["| | |", "|---|---:|", *rows])
