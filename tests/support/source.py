"""A Source of scripted models: the Router above it, and the engines that it makes, are the real thing."""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.engine import Engine, LocalEngine
from core.engine.room import Found, Report
from core.errors import ModelNotFound
from tests.support.runner import ScriptedRunner


class ScriptedSource:
    """Models by reference, each of so many bytes of weights; the answer of "a" to "hi" is "a: hi".

    A reference in `broken` raises when its weights are read. While `gate` is shut, nothing is read. `loads` has what was
    loaded with how many bytes of cache, `engines` the last engine of each reference, `asked` each message that was read.
    """

    def __init__(self, pace_s: float = 0.0, **weights: int) -> None:
        self.weights, self.pace_s = weights, pace_s
        self.gate = threading.Event()
        self.gate.set()
        self.broken: dict[str, Exception] = {}
        self.loads: list[tuple[str, int]] = []
        self.engines: dict[str, Engine] = {}
        self.asked: list[str] = []
        self.loaded: Callable[[], None] = lambda: None  # called with a model read and not yet handed over

    def identify(self, reference: str) -> tuple[str, str, int]:
        if reference not in self.weights:
            raise ModelNotFound(reference, "there is no such folder.")
        return reference, reference, self.weights[reference]

    def find(self, reference: str, report: Report) -> Found:
        report(0, 7)
        report(7, 7)

        def load(cache_bytes: int, report: Report) -> Engine:
            report(0, 3)
            assert self.gate.wait(20)
            report(3, 3)
            if error := self.broken.get(reference):
                raise error
            self.loads.append((reference, cache_bytes))
            engine = LocalEngine(ScriptedRunner(lambda message: self._answer(reference, message), pace_s=self.pace_s))
            self.engines[reference] = engine
            self.loaded()
            return engine

        return Found(load, self.weights[reference], one_cache=10)

    def _answer(self, reference: str, message: str) -> list[str]:
        if message not in self.asked:
            self.asked.append(message)
        return ["long "] * 5000 if "long" in message else [f"{reference}: ", message]
