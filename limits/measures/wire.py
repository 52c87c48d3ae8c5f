"""What goes over the wire to open a page and to show an answer, as Chromium's DevTools protocol counts it.

A websocket's payload is counted as the page gets it: the protocol does not tell what compression saved. A stream of events or
a fetch is counted as it came, compressed or not; what an open one got last may be told only with its next piece.
"""

from __future__ import annotations

import base64
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

from limits.figures import Reading
from limits.measures import Measure
from limits.measures.answer import ask
from limits.visit import Visit

KB = 1000
REST_S, GIVE_UP_S = 0.5, 8
SHORT, LONG, USUAL, FAST = 300, 1500, 50, 150  # tokens, and how many a second: a long answer shall not take long


class Wire:
    """Counts what `page` receives from now on, in bytes; `requests` are those to a server, a websocket or redirect one each."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.received = self.requests = 0
        self.deflated = False  # whether a websocket compresses
        self._bytes: dict[str, int] = defaultdict(int)  # by request
        self._before: dict[str, int] = defaultdict(int)  # of them, those of the redirects that led to it
        self._scripts: set[str] = set()
        self._counted: set[str] = set()
        chromium = page.context.new_cdp_session(page)
        for name, handle in (
            ("requestWillBeSent", self._asked), ("responseReceived", self._answered), ("dataReceived", self._came),
            ("loadingFinished", self._finished), ("webSocketCreated", self._opened), ("webSocketFrameReceived", self._framed),
            ("webSocketHandshakeResponseReceived", self._shaken),
        ):  # fmt: skip
            chromium.on(f"Network.{name}", handle)
        chromium.send("Network.enable")
        chromium.send("Network.clearBrowserCache")  # signing in may have filled it

    @property
    def scripts(self) -> int:
        """Bytes of JavaScript."""
        return sum(self._bytes[request] for request in self._scripts)

    def rest(self) -> int:
        """Wait until nothing has come for a moment; back with `received`."""
        deadline, quiet_since, before = time.monotonic() + GIVE_UP_S, time.monotonic(), self.received
        while time.monotonic() < min(deadline, quiet_since + REST_S):
            self._page.wait_for_timeout(50)
            if self.received != before:
                quiet_since, before = time.monotonic(), self.received
        return self.received

    def _add(self, request: str, size: int) -> None:
        self._bytes[request] += size
        self.received += size

    def _asked(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith("http"):  # data: and blob: are no traffic
            return
        self._counted.add(event["requestId"])
        self.requests += 1
        if "redirectResponse" in event:
            self._finished({"requestId": event["requestId"], **event["redirectResponse"]})
            self._before[event["requestId"]] = self._bytes[event["requestId"]]

    def _answered(self, event: dict[str, Any]) -> None:
        if event["requestId"] not in self._counted:
            return
        if event["type"] == "Script" or "javascript" in event["response"]["mimeType"]:
            self._scripts.add(event["requestId"])
        self._add(event["requestId"], int(event["response"]["encodedDataLength"]))  # the headers

    def _came(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._counted:
            self._add(event["requestId"], event["encodedDataLength"])

    def _finished(self, event: dict[str, Any]) -> None:
        """The whole is told again, with what the pieces left out."""
        if (request := event["requestId"]) in self._counted:
            self._add(request, max(0, int(event["encodedDataLength"]) - self._bytes[request] + self._before[request]))

    def _opened(self, event: dict[str, Any]) -> None:
        self.requests += 1

    def _shaken(self, event: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in event["response"]["headers"].items()}
        self.deflated |= "permessage-deflate" in headers.get("sec-websocket-extensions", "")

    def _framed(self, event: dict[str, Any]) -> None:
        frame = event["response"]
        data = frame["payloadData"]
        self._add(event["requestId"], len(data.encode()) if frame["opcode"] == 1 else len(base64.b64decode(data)))


def take_load(visit: Visit) -> Iterator[Reading]:
    """Open the page with an empty cache, and ask for an answer of usual pace on it."""
    with visit.page() as page:
        page.goto("about:blank")  # where signing in led has its own traffic
        wire = Wire(page)
        driver = visit.open(page)
        loaded = wire.rest()
        yield Reading("wire-load", loaded / KB)
        yield Reading("wire-js", wire.scripts / KB)
        yield Reading("wire-requests", wire.requests)
        seen = ask(visit, page, driver, SHORT, USUAL)
        found = ("The websocket compresses; counted is what came out of it.",) if wire.deflated else ()
        yield Reading("wire-300", None, seen.why) if seen.why else Reading("wire-300", (wire.rest() - loaded) / KB, found=found)


def take_growth(visit: Visit) -> Iterator[Reading]:
    """A short and a long answer at the same pace, each in a page of its own."""
    sizes = []
    for count in (SHORT, LONG):
        with visit.page() as page:
            wire = Wire(page)
            driver = visit.open(page)
            before = wire.rest()
            seen = ask(visit, page, driver, count, FAST)
            if seen.why:
                yield Reading("wire-growth", None, seen.why)
                return
            sizes.append((wire.rest() - before) / count)
    yield Reading("wire-growth", sizes[1] / sizes[0])


MEASURES = (
    Measure("On the wire", ("wire-load", "wire-js", "wire-requests", "wire-300"), take_load),
    Measure("A long answer on the wire", ("wire-growth",), take_growth),
)
