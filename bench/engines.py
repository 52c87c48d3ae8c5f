"""Engines (core/engine/base.py) as contestants: Portico's own and any other behind the same protocol."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

from bench.drive import Tell
from core.engine import Engine, LocalEngine, Request
from core.types import Delta, Event, Failed, Finished, Message, SamplingParams


class Asked:
    """Rows (e) and (t): questions submitted to an Engine of this process, each user a user of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._ids = engine, itertools.count()

    def ask(self, user: int, turns: list[str], new_tokens: int, tell: Tell) -> None:
        messages = tuple(Message("assistant" if index % 2 else "user", text) for index, text in enumerate(turns))
        params = SamplingParams(temperature=0.0, max_tokens=new_tokens, seed=0)

        def emit(event: Event) -> None:
            if isinstance(event, Delta):
                tell(event.text, "")
            elif isinstance(event, Finished):
                tell(None, "")
            elif isinstance(event, Failed):
                tell(None, event.message)

        self._engine.submit(Request(str(next(self._ids)), f"user-{user}", messages, params), emit)


def portico(folder: Path) -> Engine:
    """Portico's engine over the model, loaded as `serve` loads it: in a thread that ends with that.

    In the main thread the loading would leave a team of OpenMP threads behind, and with two teams on two cores each waits
    for the other asleep (libgomp spins less when its threads outnumber the cores).
    """
    loaded: list[Any] = []
    loading = threading.Thread(target=lambda: loaded.append(runner(folder)))
    loading.start()
    loading.join()
    return LocalEngine(loaded[0])


def runner(folder: Path) -> Any:
    from core import models
    from core.engine.room import FULL_REQUESTS, LARGEST_SHARE

    lock = threading.Lock()

    def nothing(done: int, total: int) -> None:
        pass

    budget = models.memory_limit()
    checked = models.find_model(models.parse_reference(str(folder)), budget, lock, nothing)
    # As much cache as `serve` gives a model when it serves it alone (core/engine/room.py).
    cache_bytes = min(checked.context_cache * FULL_REQUESTS, budget // LARGEST_SHARE)
    return models.load_model(checked, lock, nothing, cache_bytes)
