"""What takes the figures. A measure yields Readings of the metrics that it names; one that is added is run by being listed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from limits.figures import Reading
from limits.visit import Visit


@dataclass(frozen=True, slots=True)
class Measure:
    """`metrics` are the ids of what `take` yields; `runs` how often it is taken, fewer in a short run."""

    name: str
    metrics: tuple[str, ...]
    take: Callable[[Visit], Iterable[Reading]]
    runs: int = 3


MODULES = ("first", "wire", "streaming", "resilience", "phone", "access", "brand", "cost")


def all_measures() -> list[Measure]:
    """Those of every module here, in the order in which they are taken."""
    return [measure for name in MODULES for measure in importlib.import_module(f"limits.measures.{name}").MEASURES]
