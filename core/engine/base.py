"""The Engine protocol: takes requests, gives each one's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.types import Emit, Message, ModelInfo, SamplingParams


@dataclass(frozen=True, slots=True)
class Request:
    """One answer wanted. `id` is the run's; `user_id` lets a scheduler be fair between people; `model` "" is the default one."""

    id: str
    user_id: str
    messages: tuple[Message, ...]
    params: SamplingParams
    model: str = ""


class Engine(Protocol):
    """What runs a model. Every request that was submitted ends in exactly one Finished or Failed, whatever happens."""

    model: ModelInfo

    @property
    def busy(self) -> int:
        """How many requests have been submitted and not ended."""

    def submit(self, request: Request, emit: Emit) -> None:
        """Take `request` and return at once; `emit` gets its events, in order, from any thread, and must not block."""

    def cancel(self, request_id: str) -> None:
        """End it with `Finished(reason="cancelled")` before the next token; unknown or ended ids are ignored."""

    def close(self) -> None:
        """End everything with `Failed`, as interrupted, and let go of the model. Returns within a second or so."""
