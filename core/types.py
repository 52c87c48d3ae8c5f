"""The words that core and every frontend share: who asks, what can be asked, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Role = Literal["admin", "member", "guest"]
FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. `id` is stable and never shown; `name` is shown and never compared; `quota` is how many runs they may start."""

    id: str
    name: str
    role: Role = "member"
    quota: int | None = None


class Kind(StrEnum):
    """What a Field holds. A frontend draws Fields by Kind and knows no Task by name."""

    TEXT = "text"
    CHAT = "chat"
    NUMBER = "number"
    CHOICE = "choice"
    FLAG = "flag"
    TEXT_STREAM = "text stream"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, in the roles that chat templates use."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Names and meanings are those of `transformers.GenerationConfig`.

    `temperature` 0 is greedy. `top_k` 0, `top_p` 1 and `min_p` 0 switch those filters off. `seed` None draws a new one for each
    run. The answer ends before the first of the `stop` strings.
    """

    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 512
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The loaded model as a screen or a run's record names it. `context` is in tokens, prompt and answer together.

    `memory` is in bytes: its weights and the most that its key-value cache may take (0: another machine's). `alone` says why its
    requests run one at a time; it is empty when they share a batch.
    """

    name: str
    revision: str = ""
    context: int = 4096
    parameters: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    memory: int = 0
    alone: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took: tokens read and written, seconds to the first token and in all, waiting included."""

    prompt_tokens: int = 0
    tokens: int = 0
    first_token_s: float = 0.0
    total_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Decoding speed after the first token, the figure that people compare; 0 for fewer than two tokens."""
        decoding = self.total_s - self.first_token_s
        return (self.tokens - 1) / decoding if self.tokens > 1 and decoding > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Queued:
    """Waiting, with `position` runs ahead (0: next). `eta_s` is None while there is nothing to estimate it from.

    `loading` says that it is the model that is waited for first: it is loaded, or there is no room for it yet.
    """

    position: int
    eta_s: float | None = None
    loading: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The model has begun to read the prompt."""


@dataclass(frozen=True, slots=True)
class Delta:
    """More text. An empty one is a tick: nothing new, but the caller gets its turn to notice a stop."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended well, was cut at its token limit, or was cancelled; its text so far stands in each case."""

    usage: Usage
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended badly. `message` is written for the person who asked, `code` (core/errors.py) for a program.

    `retry_s` is in how many seconds it is worth trying again, where that is known.
    """

    message: str
    code: str = "internal"
    retry_s: float | None = None


Event = Queued | Started | Delta | Finished | Failed
Emit = Callable[[Event], None]
