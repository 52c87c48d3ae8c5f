"""The Frontend protocol: a new frontend is one folder that exposes `frontend`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from core.service import InferenceService
from core.types import User

Scope = Mapping[str, Any]
ASGIApp = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Context:
    """What a frontend is given: the door to the model, who asks, and where it is mounted ("/gradio", no slash at the end)."""

    service: InferenceService
    user_of: Callable[[Scope], User]
    path: str


@dataclass(frozen=True, slots=True)
class Mounted:
    """A frontend ready to serve: its ASGI app, mounted at the Context's path, and a lifespan that the host enters and leaves."""

    app: ASGIApp
    lifespan: AbstractAsyncContextManager[Any]


class Frontend(Protocol):
    """`name` is its path and its flag (`--ui gradio`), `title` what people read."""

    name: str
    title: str

    def load(self) -> None:
        """Import the library, which takes seconds; called in a thread before `mount`."""

    def mount(self, context: Context) -> Mounted:
        """Build the page for `context.service.tasks`. Called once, on the event loop's thread or another."""
