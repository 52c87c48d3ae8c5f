"""What a frontend costs: memory and CPU of its server, the time from an edit to the screen, and the lines that make it."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from limits import lines
from limits.figures import Reading
from limits.measures import Measure
from limits.starting import ROOT
from limits.subjects import Running
from limits.visit import Visit

SESSIONS = 10
SETTLED_MB, SETTLE_S = 0.5, 6.0
TURN = "count to 300 at 150"
RELOAD_S, RESTART_S = 5.0, 60.0
LEFT_OUT = (
    ".*",
    "__pycache__",
    "node_modules",
    "tests",
    "bench",
    "docs",
    "report",
    "*.safetensors",
)  # what serves needs none of it
# What a person can read: texts, and what fields say while they are empty.
SHOWS = """word => document.body.innerText.includes(word)
  || [...document.querySelectorAll("[placeholder]")].some(element => element.placeholder.includes(word))"""


# The server's memory and CPU.


def tree(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident_mb(pid: int) -> float:
    return _sum(pid, lambda process: float(process.memory_info().rss)) / 1e6


def cpu_s(pid: int) -> float:
    """User and system seconds so far."""
    return _sum(pid, lambda process: float(sum(process.cpu_times()[:2])))


def _sum(pid: int, figure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            total += figure(process)
    return total


def settled_mb(pid: int, page: Page) -> float:
    """Resident memory once it rests for a second, or after SETTLE_S."""
    deadline, before = time.monotonic() + SETTLE_S, resident_mb(pid)
    while True:
        page.wait_for_timeout(1000)
        now = resident_mb(pid)
        if abs(now - before) < SETTLED_MB or time.monotonic() > deadline:
            return now
        before = now


def memory(visit: Visit) -> Iterator[Reading]:
    """Each session has a browser context of its own; one was there before, as the first pays for what all share."""
    with visit.page() as page:
        visit.open(page)
    with ExitStack() as pages:
        first = pages.enter_context(visit.page())
        visit.open(first)
        one = settled_mb(visit.running.pid, first)
        for _ in range(SESSIONS - 1):
            visit.open(pages.enter_context(visit.page()))
        many = settled_mb(visit.running.pid, first)
    yield Reading("memory-session", (many - one) / (SESSIONS - 1))


def turn(visit: Visit) -> Iterator[Reading]:
    """The second question's, as the first pays for what all share."""
    with visit.page() as page:
        driver = visit.open(page)
        driver.send("hello")
        driver.wait_until_done()
        before = cpu_s(visit.running.pid)
        driver.send(TURN)
        driver.wait_until_done()
        yield Reading("cpu-turn", cpu_s(visit.running.pid) - before)


# From an edit to the screen.


def edit(visit: Visit) -> Iterator[Reading]:
    """A copy of the source is served and edited, so that the repository stays as it is whatever happens here.

    If a reload does not show the word, the server is restarted: then that is timed, from an edit of its own.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-edit-")))
        source = folder / "source"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
        running = stack.enter_context(visit.subject.start(visit.tokens, folder / "run", 0, source))
        there = Visit(visit.subject, running, visit.tokens, visit.browser, visit.pictures, {})
        page = stack.enter_context(there.page())
        there.open(page)
        file, word = visit.subject.edit
        edited = Edited(source / file.relative_to(ROOT), word)
        spent, how = timed(page, edited.change(), page.reload, RELOAD_S), "A reload shows it."
        if spent is None:
            spent, how = (
                timed(page, edited.change(), lambda: restarted(page, running), RESTART_S),
                "It takes a restart of the server.",
            )
        yield Reading("edit", spent, how if spent is not None else "The word was not shown, even after a restart of the server.")


class Edited:
    """A file with `word` in it, which each change replaces by another."""

    def __init__(self, file: Path, word: str) -> None:
        self._file, self._word = file, word

    def change(self) -> str:
        """Write another word; back with it. Raises ValueError if the file has no such word."""
        text = self._file.read_text(encoding="utf-8")
        if self._word not in text:
            raise ValueError(f"{self._file.name} has no “{self._word}” to edit")
        new = f"Edited {uuid.uuid4().hex[:6]}"
        self._file.write_text(text.replace(self._word, new), encoding="utf-8")
        self._word = new
        return new


def restarted(page: Page, running: Running) -> None:
    running.restart()
    page.reload()


def timed(page: Page, word: str, act: Callable[[], object], limit_s: float) -> float | None:
    """Seconds from now, when the word has just been written, until `act` made the page show it; None if it does not."""
    begun = time.monotonic()
    act()
    while time.monotonic() < begun + limit_s:
        with suppress(PlaywrightError):  # it loads anew
            if page.evaluate(SHOWS, word):
                return time.monotonic() - begun
        page.wait_for_timeout(50)
    return None


def count_lines(visit: Visit) -> Iterator[Reading]:
    yield Reading("lines", lines.count(visit.subject.sources))


MEASURES = (
    Measure("memory", ("memory-session",), memory),
    Measure("a turn's CPU", ("cpu-turn",), turn, runs=5),
    Measure("an edit", ("edit",), edit),
    Measure("lines", ("lines",), count_lines, runs=1),
)
