"""What is measured: each frontend stock and pushed, and a control page. Another is measured by being registered here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from playwright.sync_api import Locator, Page

from limits.drivers import Lacks, Places, control, gradio, stock_gradio, stock_streamlit, streamlit
from limits.starting import ROOT, pushed, stock
from limits.token_server import CONTROL

__all__ = ["FRONTENDS", "SUBJECTS", "Driver", "Effort", "Lacks", "Running", "Subject"]

Effort = Literal["stock", "pushed", "control"]


class Driver(Protocol):
    """Drives a frontend's page in the words of a person. What a frontend lacks raises Lacks.

    `ANSWER` is a CSS selector of the answers' text, for scripts in the page: its last match is the last answer's, or its last
    block where a frontend cuts answers into several. `PLACES` are where each token of the brand shows, none where it is not
    asked for. `composer` is where one types.
    """

    ANSWER: str
    PLACES: ClassVar[Places]

    @property
    def composer(self) -> Locator: ...

    def ready(self) -> Driver: ...
    def send(self, text: str) -> None: ...
    def last_answer(self) -> str: ...
    def messages(self) -> list[str]: ...
    def is_answering(self) -> bool: ...
    def wait_until_done(self, timeout_s: float = 60) -> None: ...
    def stop(self) -> None: ...
    def regenerate(self) -> None: ...
    def retry(self) -> None: ...
    def error(self) -> str | None: ...
    def draft(self) -> str: ...


class Running(Protocol):
    """A subject that serves. `url` is the page itself (no switcher around it), `pid` the server's process.

    `target` is the port at which it listens, for a proxy in front.
    """

    url: str
    target: int

    @property
    def pid(self) -> int: ...

    def sign_in(self, page: Page) -> None:
        """Make `page`'s browser context one that may open `url`; nothing for who has no sign-in."""

    def restart(self) -> None:
        """Stop and start again at the same address with the same data."""

    def renew(self) -> None:
        """Stop and start again at the same address, without what it kept."""

    def revive(self) -> None:
        """Start again in the same way if it ended by itself."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`sources` are the files that make the frontend, `start(tokens, folder, port)` serves it with that model's words.

    `port` is the one that browsers use, when a proxy stands in front; 0 for none. A fourth, `root`, is the folder of the source
    that runs, where that is a copy. `edit` names a file and a word in it that a person sees, for the time from an edit to the
    screen.
    """

    id: str  # "gradio-stock"
    frontend: str  # "gradio"
    effort: Effort
    title: str  # "Gradio, stock"
    driver: Callable[[Page], Driver]
    start: Callable[..., AbstractContextManager[Running]]
    sources: tuple[Path, ...]
    edit: tuple[Path, str]


def _sources(folder: str) -> tuple[Path, ...]:
    return tuple(sorted(file for file in (ROOT / folder).iterdir() if file.suffix in (".py", ".css", ".js")))


def _stock(frontend: str, title: str, driver: Callable[[Page], Driver]) -> Subject:
    file = ROOT / "limits" / "stock" / f"{frontend}_chat.py"
    return Subject(
        f"{frontend}-stock", frontend, "stock", f"{title}, stock", driver, stock(frontend), (file,), (file, "Chat with a model")
    )  # fmt: skip


def _pushed(frontend: str, title: str, driver: Callable[[Page], Driver]) -> Subject:
    sources = _sources(f"ui_{frontend}")
    return Subject(
        f"{frontend}-pushed", frontend, "pushed", f"{title}, pushed", driver, pushed(frontend), sources,
        (ROOT / f"ui_{frontend}" / "page.py", "New chat"),
    )  # fmt: skip


_PAGE = CONTROL / "index.html"

SUBJECTS: tuple[Subject, ...] = (
    Subject("control", "control", "control", "Control page", control.Driver, stock("control"), (_PAGE,), (_PAGE, "yardstick")),
    _stock("gradio", "Gradio", stock_gradio.Driver),
    _pushed("gradio", "Gradio", gradio.Driver),
    _stock("streamlit", "Streamlit", stock_streamlit.Driver),
    _pushed("streamlit", "Streamlit", streamlit.Driver),
)
FRONTENDS = tuple(dict.fromkeys(subject.frontend for subject in SUBJECTS if subject.effort != "control"))
