"""What is measured: each frontend stock and pushed, and a control page. Another is measured by being registered here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from playwright.sync_api import Locator, Page

from limits.token_server import TokenServer

Effort = Literal["stock", "pushed", "control"]


class Lacks(Exception):
    """A frontend has no such thing (no stop button, no error shown); the message is a sentence for the report."""


class Driver(Protocol):
    """Drives a frontend's page in the words of a person. What a frontend lacks raises Lacks.

    `last_answer` is a CSS selector of the last answer's element, for scripts in the page; `composer` where one types.
    """

    ANSWER: str
    composer: Locator

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
    """A subject that serves. `url` is the page itself (no switcher around it), `pid` the server's process."""

    url: str
    pid: int

    def sign_in(self, page: Page) -> None:
        """Make `page`'s browser context one that may open `url`; nothing for who has no sign-in."""

    def restart(self) -> None:
        """Stop and start again at the same address with the same data."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`sources` are the files that make the frontend, `start(tokens, folder, port)` serves it with that model's words.

    `port` is the one that browsers use, when a proxy stands in front; 0 for none. `edit` names a file and a word in it that a
    person sees, for the time from an edit to the screen.
    """

    id: str  # "gradio-stock"
    frontend: str  # "gradio"
    effort: Effort
    title: str  # "Gradio, stock"
    driver: Callable[[Page], Driver]
    start: Callable[[TokenServer, Path, int], AbstractContextManager[Running]]
    sources: tuple[Path, ...]
    edit: tuple[Path, str]
