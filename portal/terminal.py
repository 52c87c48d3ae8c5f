"""A start's progress in the terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from core.progress import Progress, Step


class TerminalProgress:
    """The start's steps in the terminal: bars where it is one, a line when each is done where it is not."""

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print, self._bars, self._shown = print_line, None, {}
        self._lock, self._ready = threading.Lock(), False

    def show(self, progress: Progress) -> None:
        with self._lock:
            if self._bars is None and sys.stderr.isatty():
                self._bars = _rich_bars()
                self._bars.start()
            for name, step in progress.steps.items():
                self._show_step(name, step)
            if progress.ready and not self._ready:
                self._ready = True
                if self._bars:
                    self._bars.stop()
                self._print("Ready.")

    def _show_step(self, name: str, step: Step) -> None:
        if self._bars is None:
            if step.state == "done" and name not in self._shown:
                self._shown[name] = self._print(f"  {step.title}: done")
            return
        if name not in self._shown:
            self._shown[name] = self._bars.add_task(step.title, total=None, start=False)
        task = self._shown[name]
        if step.state != "waiting":
            self._bars.start_task(task)
        if step.state == "done":
            self._bars.update(task, completed=step.total or 1, total=step.total or 1)
        elif step.total:
            self._bars.update(task, completed=step.done, total=step.total)


def _rich_bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))
