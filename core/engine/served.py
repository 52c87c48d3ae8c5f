"""What a Router knows of each model that is served, and of each request on its way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from core.engine.base import Engine, Request
from core.engine.room import Found, Report
from core.types import Emit, ModelInfo

State = Literal["unloaded", "getting", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One served model as a page shows it.

    `name` is what people choose; `reference` a folder or hub id. `done` of `total` counts `unit`s: "B" while "getting", tensors
    while "loading". `error` is one sentence: why it has "failed", or did not come back; `info` is there when "ready". `needs` is
    in bytes: what it takes, or is estimated to take (0: not known yet). `busy` counts the requests that it holds.
    """

    name: str
    reference: str
    state: State
    done: int = 0
    total: int = 0
    unit: str = ""
    error: str = ""
    info: ModelInfo | None = None
    needs: int = 0
    busy: int = 0


class Source(Protocol):
    """Where models come from: folders and the hub (core/sources.py), another server, or a test's script."""

    def identify(self, reference: str) -> tuple[str, str, int]:
        """The name that people read, `reference` in its one spelling, and its weights in bytes (0: not known yet).

        Quick, and without a network. Raises ModelError if there is no such model, or it can never be loaded here.
        """

    def find(self, reference: str, report: Report) -> Found:
        """Get the model's files, `report(done, total)` in bytes, and say how to load them. Raises ModelError."""


@dataclass(slots=True, eq=False)
class Model:
    """A model by its name. `engine` is there when it is ready; `reserved` bytes are its own from before its weights are read.

    `yields` says that it leaves when its requests have ended, and takes no more until then. Times are of the router's clock.
    """

    name: str
    reference: str
    state: State = "unloaded"
    progress: tuple[int, int, str] = (0, 0, "")
    error: str = ""
    engine: Engine | None = None
    info: ModelInfo | None = None  # stays when it leaves, for what is asked of it meanwhile
    estimate: int = 0
    reserved: int = 0
    askable: bool = False  # it is ready, or comes back when it is asked
    used: int = 0
    tickets: int = 0
    waiting: list[Ticket] = field(default_factory=list)  # for it to be loaded, or loaded again
    yields: bool = False
    by_admin: bool = False  # an admin has it loaded
    stays_until: float = 0.0
    again_at: float = 0.0  # not before is it tried again, if it failed

    @property
    def coming(self) -> bool:
        return self.state in ("getting", "loading")

    @property
    def there(self) -> bool:
        """Whether it is ready, or on its way."""
        return self.coming or self.state == "ready"

    @property
    def in_use(self) -> int:
        """How many requests keep it from leaving: all but those that wait for it to come back."""
        return self.tickets - len(self.waiting)

    def take_waiting(self) -> list[Ticket]:
        """Those that wait, on their way from now on."""
        waiting, self.waiting = self.waiting, []
        for ticket in waiting:
            ticket.stage = "passing"
        return waiting

    @property
    def entry(self) -> Entry:
        done, total, unit = self.progress if self.coming else (0, 0, "")
        return Entry(
            self.name, self.reference, self.state, done, total, unit, self.error,
            info=self.info if self.state == "ready" else None, needs=self.reserved or self.estimate, busy=self.tickets,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way; its model does not leave before its end, unless it has not got in yet.

    "waiting" for the model to be loaded, "passing" from here to the engine, or "there".
    """

    request: Request
    emit: Emit
    model: Model
    stage: Literal["waiting", "passing", "there"] = "passing"
    cancelled: bool = False
    told: bool = False
    ended: bool = False
