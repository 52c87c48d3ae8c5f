"""Runs the lab: every measure on every subject, in turn, round after round; then writes the report."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from limits import machine
from limits.chromium import get_chromium
from limits.figures import Reading
from limits.lab import Lab
from limits.measures import Measure, all_measures
from limits.npm import get_packages
from limits.pictures import take_pictures
from limits.report import write
from limits.subjects import SUBJECTS, Subject
from limits.taken import Report, Taken, compose
from limits.told import sentence
from limits.visit import Visit

Tell = Callable[[str], None]


def run(frontends: Sequence[str], rounds: int, out: Path, tell: Tell) -> Path:
    """Measure the stock and the pushed form of `frontends` and the control page; back with the report's page.

    A measure is taken as often as it asks, but `rounds` times at most. Raises KeyboardInterrupt, or SystemExit at SIGTERM,
    after writing what there is.
    """
    get_chromium()
    get_packages()
    subjects = [subject for subject in SUBJECTS if subject.effort == "control" or subject.frontend in frontends]
    return run_on(subjects, all_measures(), rounds, out, tell)


def run_on(subjects: Sequence[Subject], measures: Sequence[Measure], rounds: int, out: Path, tell: Tell) -> Path:
    """The same of these subjects by these measures."""
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    taken, begun = Taken(), time.monotonic()
    with _until_sigterm(), ExitStack() as stack:
        lab = Lab(stack, pictures)
        about = machine.describe(lab.version, [one.frontend for one in subjects if one.effort != "control"])
        visits = list(_start(lab, subjects, measures, taken, tell))
        try:
            play(visits, measures, rounds, taken, tell, lab.revive, lab.renew)
            _take_pictures(lab, visits, taken, tell)
        finally:
            about["load_after"] = machine.load()
            report = compose(taken, subjects, about, rounds)
            page = write(report, out)
            _forget_others(pictures, report)
    tell(f"{page} ({(time.monotonic() - begun) / 60:.0f} minutes)")
    return page


@contextmanager
def _until_sigterm() -> Iterator[None]:
    """SIGTERM ends what is within as Ctrl+C does: what was started is stopped, and what was read is written."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one would break off the cleaning up
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(lab: Lab, subjects: Sequence[Subject], measures: Sequence[Measure], taken: Taken, tell: Tell) -> Iterator[Visit]:
    """Those that start; the report says why another does not."""
    for subject in subjects:
        tell(f"Starting {subject.title}")
        try:
            visit = lab.start(subject)
        except Exception as error:  # the others are to be measured
            why = sentence(error)
            taken.lack(subject, measures, why)
            taken.notes.append(f"{subject.title} was not measured. {why}")
            tell("\n".join([f"{subject.title} is left out. {why}", *getattr(error, "__notes__", [])]))
        else:
            yield visit


def play(
    visits: Sequence[Visit],
    measures: Sequence[Measure],
    rounds: int,
    taken: Taken,
    tell: Tell,
    revive: Callable[[Visit], None] = lambda visit: None,
    renew: Callable[[Visit], None] = lambda visit: None,
) -> None:
    """Each measure on each subject in turn, so that all see the same machine; the control page first, for ratios to it.

    Every round begins with what `renew` makes of a subject: what the round before left there would be measured with it.
    """
    begun, times = time.monotonic(), {measure.name: min(measure.runs, rounds) for measure in measures}
    total, done = sum(times.values()) * len(visits), 0
    for number in range(max(times.values())):
        control: dict[str, float] = {}
        for visit in visits:
            with suppress(Exception):  # `revive` tries again, and each figure says why it could not be taken
                renew(visit)
        for measure in (one for one in measures if number < times[one.name]):
            for visit in visits:
                visit.control, visit.steps, visit.round = control, [], number + 1
                why = taken.add(visit.subject, measure, visit, _take(measure, visit, revive))
                done += 1
                spent = time.monotonic() - begun
                left = f"about {spent / done * (total - done) / 60:.0f} min left" if done < total else "done"
                tell(
                    f"[{done}/{total}] {visit.subject.title}: {measure.name}, round {number + 1}; {left}"
                    + (f" ({why})" if why else "")
                )


def _take(measure: Measure, visit: Visit, revive: Callable[[Visit], None]) -> Iterator[Reading]:
    revive(visit)
    yield from measure.take(visit)


def _take_pictures(lab: Lab, visits: Sequence[Visit], taken: Taken, tell: Tell) -> None:
    for visit in visits:
        tell(f"Pictures of {visit.subject.title}")
        visit.round = 1  # they are taken once
        try:
            lab.revive(visit)
            taken.pictures += take_pictures(visit)
        except Exception as error:  # those of the others are wanted
            taken.notes.append(f"{visit.subject.title} lacks pictures. {sentence(error)}")


def _forget_others(pictures: Path, report: Report) -> None:
    """Remove the lab's pictures that `report` does not name: those of runs before, and of rounds that it does not show."""
    named = {one["picture"] for kind in ("steps", "figures") for one in report[kind]}
    named |= {one["file"] for one in report["pictures"]}
    ours = tuple(f"{subject['id']}-" for subject in report["subjects"]) + tuple(f"{subject.id}-" for subject in SUBJECTS)
    for file in pictures.glob("*.png"):
        if file.name.startswith(ours) and file.name not in named:  # the folder is whatever --out names
            file.unlink()
