"""Where verbs act: a person's tabs at a subject's page, behind a network that can be cut."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from limits.proxy import Network
from limits.subjects import Driver
from limits.told import Told
from limits.visit import Visit, poll

SHOW_S = 5.0  # for what a page shows at once
ACT_MS = 10_000  # for what is pressed or typed


class Failed(Told):
    """What must be so is not."""


@dataclass(slots=True)
class Tab:
    """A page of the browser. `marks` name its questions, oldest first; `seen` is the number up to which an answer must stay."""

    page: Page
    chat: Driver
    marks: list[str] = field(default_factory=list)
    draft: str = ""
    seen: int = 0
    stopped_at: float = 0.0


class Scene:
    """A person at the subject's page: `tab` is the one in front."""

    def __init__(self, visit: Visit, network: Network, page: Page) -> None:
        self.visit, self.network = visit, network
        page.set_default_timeout(ACT_MS)
        self.tab = Tab(page, visit.open(page))
        self.tabs = [self.tab]

    @property
    def mark(self) -> str:
        """The name of the question that was asked last."""
        if not self.tab.marks:
            raise Failed("No question stands on the page, as the step before failed.")
        return self.tab.marks[-1]

    def marked(self, text: str) -> str:
        self.tab.marks.append(f"mark-{uuid.uuid4().hex[:8]}")
        return f"{text} {self.tab.marks[-1]}"

    def numbers(self) -> list[int]:
        """The numbers of the last answer, as far as the page shows them."""
        with suppress(PlaywrightError):
            return numbers_in(self.tab.chat.last_answer())
        return []

    def last(self) -> int:
        return (self.numbers() or [0])[-1]

    def wait(self, condition: Callable[[], object], seconds: float, sentence: Callable[[], str] | str) -> None:
        """Until `condition()` is true, with the browser's own clock running; raises Failed after `seconds`."""

        def holds() -> bool:
            with suppress(PlaywrightError):  # the page may be loading anew
                return bool(condition())
            return False

        if not poll(self.tab.page, holds, seconds):
            raise Failed(sentence if isinstance(sentence, str) else sentence())


def numbers_in(text: str) -> list[int]:
    return [int(word) for word in text.split() if word.isdecimal()]


Verb = Callable[..., None]
VERBS: dict[str, Verb] = {}


def verb(name: str) -> Callable[[Verb], Verb]:
    def register(function: Verb) -> Verb:
        VERBS[name] = function
        return function

    return register
