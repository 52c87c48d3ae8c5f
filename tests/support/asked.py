"""A request that was submitted to an engine, and what comes of it."""

from __future__ import annotations

import threading
from typing import Any

from core.engine import Engine, Request
from core.types import Delta, Event, Failed, Finished, Message, SamplingParams


class Asked:
    """A submitted request and its events."""

    def __init__(
        self, engine: Engine, name: str = "a", message: str = "hi", messages: tuple[Message, ...] = (), user: str = "ada",
        **params: Any,
    ) -> None:  # fmt: skip
        self.events: list[Event] = []
        self.done = threading.Event()
        turns = messages or (Message("user", message),)
        engine.submit(Request(name, user, turns, SamplingParams(**params)), self.emit)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Finished | Failed):
            self.done.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    def wait(self) -> Event:
        assert self.done.wait(10), "the run did not end"
        assert sum(isinstance(event, Finished | Failed) for event in self.events) == 1
        return self.events[-1]

    def finished(self) -> Finished:
        end = self.wait()
        assert isinstance(end, Finished), end
        return end

    def failed(self) -> Failed:
        end = self.wait()
        assert isinstance(end, Failed), end
        return end
