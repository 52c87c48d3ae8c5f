"""A page of a test's own as the lab sees a frontend: a folder of HTML on loopback, a driver by convention, and a Visit to it.

The convention: one types in the first `textarea`, `.asked` are one's messages, `.answer` are the answers, `body.answering` while
one comes. `GET say?message=...` is the page's model: "count to 300 at 50" streams numbers and keeps a log as the lab's token
server does; with `&whole=1` each token sends the whole answer again, which makes the bytes grow with the square.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Page, expect

from limits.drivers import Places
from limits.subjects import Effort, Lacks, Subject
from limits.visit import Visit

PAGES = Path(__file__).parent / "pages"
KEY = "seat=ada"


class PageDriver:
    """Drives a page that keeps to the convention."""

    ANSWER = ".answer"
    PLACES: ClassVar[Places] = {}

    def __init__(self, page: Page) -> None:
        self.page = page
        self.composer = page.locator("textarea").first

    def ready(self) -> PageDriver:
        expect(self.composer).to_be_editable()
        return self

    def send(self, text: str) -> None:
        before = self.page.locator(".asked").count()
        self.composer.fill(text)
        self.composer.press("Enter")
        expect(self.page.locator(".asked")).to_have_count(before + 1)

    def last_answer(self) -> str:
        found = self.page.locator(self.ANSWER)
        return found.last.inner_text() if found.count() else ""

    def messages(self) -> list[str]:
        return self.page.locator(".asked").all_inner_texts()

    def is_answering(self) -> bool:
        return self.page.locator("body.answering").count() > 0

    def wait_until_done(self, timeout_s: float = 60) -> None:
        expect(self.page.locator("body.answering")).to_have_count(0, timeout=timeout_s * 1000)

    def stop(self) -> None:
        raise Lacks("The page has no stop button.")

    def regenerate(self) -> None:
        raise Lacks("The page has no way to ask again.")

    def retry(self) -> None:
        raise Lacks("The page has no retry.")

    def error(self) -> str | None:
        return None

    def draft(self) -> str:
        return self.composer.input_value()


class Numbers:
    """The planted page's model and its log, as `TokenServer` has them."""

    def __init__(self) -> None:
        self._times: dict[str, dict[int, float]] = {}
        self._ended: dict[str, tuple[str, float]] = {}

    def times(self, mark: str) -> dict[int, float]:
        return self._times.get(mark, {})

    def ended(self, mark: str) -> tuple[str, float] | None:
        return self._ended.get(mark)

    def say(self, message: str) -> Iterator[str]:
        """Numbers at the pace that `message` asks for; nothing for any other message."""
        asked = re.search(r"count to (\d+)(?: at (\d+))?", message)
        marks = re.findall(r"\bmark-[\w-]+", message)
        begun = time.monotonic()
        for number in range(1, int(asked[1]) + 1 if asked else 1):
            time.sleep(max(0.0, begun + (number - 1) / float(asked[2] or 50) - time.monotonic()))
            for mark in marks:
                self._times.setdefault(mark, {})[number] = time.time()
            yield f"{number} "
        for mark in marks:
            self._ended[mark] = "finished", time.time()


class _Handler(SimpleHTTPRequestHandler):
    numbers: Numbers
    locked: bool

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.locked and KEY not in self.headers.get("Cookie", ""):
            self.send_error(403)
            return
        address = urlsplit(self.path)
        if address.path != "/say":
            super().do_GET()
            return
        query = parse_qs(address.query)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        said = ""
        for token in self.numbers.say(query["message"][0]):
            said += token
            self.wfile.write((f"{said}\n" if "whole" in query else token).encode())


class Planted:
    """A folder served on loopback as a running subject; use it `with`. `locked`: only to who is signed in."""

    def __init__(self, folder: Path = PAGES, locked: bool = False) -> None:
        self.tokens = Numbers()
        handler = type("Handler", (_Handler,), {"numbers": self.tokens, "locked": locked})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self.pid = 0
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def sign_in(self, page: Page) -> None:
        name, _, value = KEY.partition("=")
        page.context.add_cookies([{"name": name, "value": value, "url": self.url}])

    def restart(self) -> None:
        raise Lacks("A planted page is not restarted.")

    def renew(self) -> None:
        """It is as new as the test."""

    def revive(self) -> None:
        """It lives as long as the test."""

    def __enter__(self) -> Planted:
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def visit_to(
    page: str, browser: Browser, pictures: Path, *, folder: Path = PAGES, effort: Effort = "stock", locked: bool = False
) -> Iterator[Visit]:
    """A Visit to `page`, a file of `folder` with or without a query, for a measure's `take`; the test fills its `control`."""
    with Planted(folder, locked) as planted:
        planted.url += page
        sources = (folder / page.partition("?")[0],)
        subject = Subject("planted", "planted", effort, page, cast(Any, PageDriver), cast(Any, None), sources, (sources[0], ""))
        yield Visit(subject, planted, cast(Any, planted.tokens), browser, pictures, {})
