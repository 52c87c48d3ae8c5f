"""The two seams of running models: an Engine takes requests and gives each one's events, a Runner computes an engine's steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.types import Emit, Message, ModelInfo, SamplingParams

if TYPE_CHECKING:
    from core.engine.scheduler import Reuse, Step

Decode = Callable[[int], str]
Outcome = int | None | Exception


@dataclass(frozen=True, slots=True)
class Request:
    """One answer wanted. `id` is the run's, and never comes twice; `user_id` lets a scheduler be fair between people.

    `model` "" is the default one.
    """

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
        """Take `request` and return at once. `emit` gets its events, in order, from any thread; it must not block or raise."""

    def cancel(self, request_id: str) -> None:
        """End it with `Finished(reason="cancelled")` before the next token; unknown or ended ids are ignored."""

    def close(self) -> None:
        """End everything with `Failed`, as interrupted, and let go of the model. Returns within a second or so."""


class Runner(Protocol):
    """Computes steps. Tests pass one that plays a script; everything above it is the same.

    `parallel` is how many sequences a step may hold, `capacity` how many tokens its cache does; with 1, nothing is reused.
    """

    model: ModelInfo
    eos: frozenset[int]
    parallel: int
    capacity: int

    def encode(self, messages: Sequence[Message], room: int) -> list[int]:
        """The prompt's token ids, at most `context - room` of them, oldest turns dropped first; raises PromptTooLong."""

    def decoder(self) -> Decode:
        """A function from the next token to the text that it completes, which may be empty."""

    def cost(self, tokens: int) -> int:
        """How much of `capacity` a sequence of so many tokens takes."""

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Compute `steps`: the sampled token for each that samples, None for each other, an error for one that failed alone."""

    def reuse(self, reuse: Reuse) -> None:
        """Begin a sequence with what was computed for another."""

    def release(self, sequence_id: str, keep: int = 0) -> None:
        """Let go of what is held for a sequence that has ended, but for the first `keep` tokens' share."""

    def reset(self) -> None:
        """Let go of all that was computed, whatever state a failed step left it in."""

    def close(self) -> None:
        """Let go of the model and all that was computed."""
