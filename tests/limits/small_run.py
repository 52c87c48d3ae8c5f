"""The lab in small, in a process of its own: `python -m tests.limits.small_run FOLDER dies|hangs`.

Of two subjects one does not start. In a run that "dies" a measure kills the browser and the server; in one that "hangs" a measure
never ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError

from limits.figures import Reading
from limits.measures import Measure
from limits.run import run_on
from limits.starting import Process, free_port
from limits.subjects import SUBJECTS
from limits.visit import Visit


def nobody(tokens: Any, folder: Path, port: int) -> Any:
    return Process(["-c", "raise SystemExit('There is no such model.')"], folder, free_port(), "")


def steady(visit: Visit) -> Iterator[Reading]:
    yield Reading("ttfb", 0.1)


def dies(visit: Visit) -> Iterable[Reading]:
    os.kill(visit.running.pid, signal.SIGKILL)
    with suppress(PlaywrightError):
        visit.browser.new_browser_cdp_session().send("Browser.crash")
    return ()


def hangs(visit: Visit) -> Iterator[Reading]:
    with visit.page() as page:
        visit.open(page)
        tell("It hangs.")
        page.wait_for_timeout(600_000)
        yield Reading("fcp", 0.1)


def opens(visit: Visit) -> Iterator[Reading]:
    with visit.page() as page:
        visit.open(page)
        yield Reading("lcp", 0.1)


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    control = SUBJECTS[0]
    absent = replace(SUBJECTS[1], start=nobody)
    second = Measure("a bad one", ("fcp",), {"dies": dies, "hangs": hangs}[sys.argv[2]])
    measures = (Measure("a steady one", ("ttfb",), steady), second, Measure("what comes after", ("lcp",), opens))
    run_on([absent, control], measures, 1, Path(sys.argv[1]), tell)
