"""What a run of the lab keeps alive: its model, a Chromium, and each subject's server."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from limits.chromium import ARGS, chromium_path
from limits.subjects import Subject
from limits.token_server import TokenServer
from limits.visit import Visit


class Lab:
    """What it starts is stopped when `stack` is left; `pictures` is the folder of the report's."""

    def __init__(self, stack: ExitStack, pictures: Path) -> None:
        self._stack, self._pictures = stack, pictures
        self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="portico-limits-")))
        self._tokens = stack.enter_context(TokenServer())
        self._chromium = stack.enter_context(sync_playwright()).chromium
        self._browser = self._launch()
        stack.callback(self._close)

    @property
    def version(self) -> str:
        """Chromium's."""
        return self._browser.version

    def start(self, subject: Subject) -> Visit:
        """Serve `subject`; raises what its start raises."""
        running = self._stack.enter_context(subject.start(self._tokens, self._folder / subject.id, 0))
        return Visit(subject, running, self._tokens, self._browser, self._pictures, {})

    def renew(self, visit: Visit) -> None:
        """Start the subject's server with nothing kept, and let one visitor in: what is measured has served before."""
        visit.running.renew()
        with visit.page() as page:
            visit.open(page)

    def revive(self, visit: Visit) -> None:
        """Start the browser or the server again if one died in a measure before, or all that come after would fail with it."""
        try:
            self._browser.new_context().close()
        except PlaywrightError:
            self._browser = self._launch()
        visit.browser = self._browser
        visit.running.revive()

    def _launch(self) -> Browser:
        return self._chromium.launch(executable_path=chromium_path(), args=ARGS)

    def _close(self) -> None:
        with suppress(PlaywrightError):  # it may have died
            self._browser.close()
