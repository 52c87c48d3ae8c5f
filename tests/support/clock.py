"""Time that moves when a test says so, and waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wait_until(condition: Callable[[], object], seconds: float = 20, every: float = 0.01, what: str = "") -> None:
    """Poll until `condition()` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain" + (f" for {what}" if what else ""))
        time.sleep(every)
