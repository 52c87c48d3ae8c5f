"""Runs the lab: every measure on every subject, in turn, round after round; then writes the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from limits import machine
from limits.chromium import ARGS, chromium_path, get_chromium
from limits.measures import Measure, all_measures
from limits.npm import get_packages
from limits.pictures import take_pictures
from limits.report import write
from limits.subjects import SUBJECTS
from limits.taken import Taken, compose, sentence
from limits.token_server import TokenServer
from limits.visit import Visit

Tell = Callable[[str], None]


def run(frontends: Sequence[str], rounds: int, out: Path, tell: Tell) -> Path:
    """Measure the stock and the pushed form of `frontends` and the control page; back with the report's page.

    A measure is taken as often as it asks, but `rounds` times at most. Raises KeyboardInterrupt after writing what
    there is.
    """
    get_chromium()
    get_packages()
    subjects = [subject for subject in SUBJECTS if subject.effort == "control" or subject.frontend in frontends]
    measures = all_measures()
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    taken, begun = Taken(), time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="portico-limits-")))
        tokens = stack.enter_context(TokenServer())
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGS)
        stack.callback(browser.close)
        visits = []
        for subject in subjects:
            tell(f"Starting {subject.title}")
            running = stack.enter_context(subject.start(tokens, folder / subject.id, 0))
            visits.append(Visit(subject, running, tokens, browser, pictures, {}))
        about = machine.describe(browser.version)
        try:
            play(visits, measures, rounds, taken, tell)
            for visit in visits:
                tell(f"Pictures of {visit.subject.title}")
                try:
                    taken.pictures += take_pictures(visit)
                except Exception as error:  # those of the others are wanted
                    taken.notes.append(f"{visit.subject.title} lacks pictures. {sentence(error)}")
        finally:
            about["load_after"] = machine.load()
            report = compose(taken, subjects, about, rounds)
            page = write(report, out)
    tell(f"{page} ({(time.monotonic() - begun) / 60:.0f} minutes)")
    return page


def play(visits: Sequence[Visit], measures: Sequence[Measure], rounds: int, taken: Taken, tell: Tell) -> None:
    """Each measure on each subject in turn, so that all see the same machine; the control page first, for ratios to it."""
    begun, times = time.monotonic(), {measure.name: min(measure.runs, rounds) for measure in measures}
    total, done = sum(times.values()) * len(visits), 0
    for number in range(max(times.values())):
        control: dict[str, float] = {}
        for measure in (one for one in measures if number < times[one.name]):
            for visit in visits:
                visit.control, visit.steps = control, []
                why = taken.add(visit.subject, measure, visit, measure.take(visit))
                done += 1
                spent = time.monotonic() - begun
                left = f"about {spent / done * (total - done) / 60:.0f} min left" if done < total else "done"
                tell(
                    f"[{done}/{total}] {visit.subject.title}: {measure.name}, round {number + 1}; {left}"
                    + (f" ({why})" if why else "")
                )
