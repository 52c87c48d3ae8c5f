"""`python -m bench` runs every benchmark and writes bench/results.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench import guard

RESULTS = Path(__file__).with_name("results.md")


def machine() -> str:
    """This machine in a line."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} on {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}"


def table(figures: dict[str, float]) -> str:
    rows = [f"| {name} | {figure:.0f} |" if figure >= 100 else f"| {name} | {figure:.3g} |" for name, figure in figures.items()]
    return "\n".join(["| | |", "|---|---:|", *rows])


def main() -> None:
    text = f"""# Benchmarks

{machine()}, {datetime.now(UTC):%Y-%m-%d}. Written by `make bench`; every row of a table is of one run.

## The guard

The least ASGI app there is, bare and behind the guard, asked in turn {guard.REQUESTS} times,
by {guard.SESSIONS} signed-in browsers.

{table(guard.run())}
"""
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
