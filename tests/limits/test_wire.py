"""Bytes on the wire: what a page loads and what an answer costs, by how much it is known to be."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from playwright.sync_api import Browser
from websockets.sync.server import ServerConnection, serve

from limits.drivers.control import Driver as ControlDriver
from limits.figures import Reading
from limits.measures import answer, wire
from limits.measures.wire import Wire
from limits.starting import stock
from limits.token_server import TokenServer
from tests.limits.planted import visit_to

CHAT = Path(__file__).parent / "pages" / "chat.html"
HEADERS = 1.0  # KB that a request's may be at most


def value(reading: Reading) -> float:
    assert reading.value is not None, reading.why
    return reading.value


def noise(size: int) -> str:
    """A script of that many bytes."""
    return "// " + "".join(random.Random(1).choices("abcdefgh", k=size - 3))


@pytest.fixture(autouse=True)
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test needs no usual pace, and little patience."""
    monkeypatch.setattr(wire, "USUAL", 300)
    monkeypatch.setattr(wire, "FAST", 750)
    monkeypatch.setattr(answer, "GRACE_S", 3)


def test_a_page_with_a_script_of_200_kb(browser: Browser, tmp_path: Path) -> None:
    faults = "<body><script src=big.js></script><img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>"
    html = CHAT.read_text(encoding="utf-8").replace("<body>", faults)
    (tmp_path / "chat.html").write_text(html, encoding="utf-8")
    (tmp_path / "big.js").write_text(noise(200_000), encoding="utf-8")
    os.utime(tmp_path / "big.js", (0, 0))  # so old that browsers keep it
    with visit_to("chat.html", browser, tmp_path, folder=tmp_path) as visit:
        visit.running.sign_in = lambda page: page.goto(visit.running.url)  # type: ignore[assignment,method-assign,return-value]
        taken = {one.metric: one for one in wire.take_load(visit)}
    assert value(taken["wire-js"]) == pytest.approx(200, abs=HEADERS)
    assert value(taken["wire-load"]) == pytest.approx(200 + len(html) / 1000, abs=2 * HEADERS)
    assert value(taken["wire-requests"]) == 2
    numbers = sum(len(f"{number} ") for number in range(1, 301))
    assert value(taken["wire-300"]) == pytest.approx(numbers / 1000, abs=HEADERS)


def test_an_answer_that_is_sent_whole_with_each_token_grows(browser: Browser, tmp_path: Path) -> None:
    with visit_to("chat.html?whole", browser, tmp_path) as visit:
        (taken,) = wire.take_growth(visit)
    assert value(taken) > 3


def test_the_control_page_costs_as_much_a_token_however_long_the_answer_is(browser: Browser, tmp_path: Path) -> None:
    with TokenServer() as tokens, stock("control")(tokens, tmp_path, 0) as control, visit_to("", browser, tmp_path) as visit:
        visit.running.url = control.url
        visit.tokens, visit.subject = tokens, replace(visit.subject, driver=ControlDriver)
        (taken,) = wire.take_growth(visit)
    assert value(taken) == pytest.approx(1, abs=0.1)


def test_an_answer_that_does_not_come_is_said_in_a_sentence(browser: Browser, tmp_path: Path) -> None:
    with visit_to("chat.html?short=1", browser, tmp_path) as visit:
        taken = {one.metric: one for one in (*wire.take_load(visit), *wire.take_growth(visit))}
    assert value(taken["wire-load"]) > 1
    assert taken["wire-300"].value is None
    assert taken["wire-300"].why == "Only 299 of 300 tokens were shown within 4 s."
    assert taken["wire-growth"].why == "Only 299 of 300 tokens were shown within 3 s."


class _Other(BaseHTTPRequestHandler):
    """A redirect, a compressed text, and a stream of events that never ends by itself."""

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        if name == "/moved":
            self.send_response(302)
            self.send_header("Location", "/text")
            self.send_header("X-Long", "x" * 2000)
            self.end_headers()
        elif name == "/text":
            body = gzip.compress(b"word " * 20_000)
            self.send_response(200)
            for header in (("Content-Encoding", "gzip"), ("Content-Type", "text/plain"), ("Content-Length", str(len(body)))):
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)
        elif name == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for _ in range(10):
                self.wfile.write(b"data: " + b"x" * 992 + b"\n\n")
                self.server.held.wait(0.05)  # type: ignore[attr-defined]
            self.server.held.wait(20)  # type: ignore[attr-defined]
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href=data:,>")


@pytest.fixture
def other() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    server.daemon_threads = True
    server.held = Event()  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.held.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_compressed_texts_redirects_and_open_streams_are_counted_as_they_came(browser: Browser, other: str) -> None:
    page = browser.new_page()
    page.goto("about:blank")
    counted = Wire(page)
    page.goto(other)
    start, requests = counted.rest(), counted.requests

    page.evaluate("fetch('/text').then((answer) => answer.text())")
    text = counted.rest()
    assert 0 < text - start < 2000  # 100 KB of words, compressed

    page.evaluate("fetch('/moved').then((answer) => answer.text())")
    moved = counted.rest()
    assert 2000 + text - start - 20 < moved - text < 2000 + text - start + 500

    page.evaluate("void (window.events = new EventSource('/events'))")
    assert 5000 <= counted.rest() - moved < 11_000  # the last of them is told with the next, which never comes
    assert counted.requests - requests == 1 + 2 + 1
    page.context.close()


@pytest.mark.parametrize("compression", ["deflate", None])
def test_a_websockets_payload_is_counted_and_whether_it_was_compressed(
    browser: Browser, other: str, compression: str | None
) -> None:
    def talk(socket: ServerConnection) -> None:
        socket.send("ä" * 5000)
        socket.send(b"\0" * 3000)
        socket.recv()

    with serve(talk, "127.0.0.1", 0, compression=compression) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(other)
        counted = Wire(page)
        port = server.socket.getsockname()[1]
        page.evaluate(f"void (window.socket = new WebSocket('ws://127.0.0.1:{port}'))")
        assert counted.rest() == 13_000
        assert counted.requests == 1
        assert counted.deflated == (compression is not None)
        page.evaluate("socket.send('done')")
        page.context.close()
