"""What a start has done and has still to do, for the terminal, the waiting page and /readyz alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["waiting", "running", "done"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is waited for. `done` of `total` counts `unit`s ("B" or none); a `total` of 0 is not known yet."""

    title: str
    state: State = "waiting"
    done: int = 0
    total: int = 0
    unit: str = ""


class Progress:
    """Named steps in the order they were given. Safe from any thread; `changed` is called after each change."""

    def __init__(self, titles: dict[str, str], changed: Callable[[Progress], None] = lambda progress: None) -> None:
        self._steps = {name: Step(title) for name, title in titles.items()}
        self._changed, self._lock = changed, threading.Lock()

    @property
    def steps(self) -> dict[str, Step]:
        with self._lock:
            return dict(self._steps)

    @property
    def ready(self) -> bool:
        return all(step.state == "done" for step in self.steps.values())

    def begin(self, name: str) -> None:
        self._set(name, state="running")

    def report(self, name: str, done: int, total: int, unit: str = "") -> None:
        self._set(name, state="running", done=done, total=total, unit=unit)

    def finish(self, name: str) -> None:
        self._set(name, state="done")

    def _set(self, name: str, **changes: object) -> None:
        with self._lock:
            self._steps[name] = replace(self._steps[name], **changes)  # type: ignore[arg-type]
        self._changed(self)
