"""What a frontend costs: figures of servers whose cost is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest
from playwright.sync_api import Browser

from limits import lines
from limits.measures.cost import MEASURES, count_lines, edit, memory, turn
from limits.starting import ROOT
from limits.subjects import Subject
from limits.token_server import CONTROL
from limits.visit import Visit
from tests.limits.costly import PAGE_MB, TURN_S
from tests.limits.planted import PageDriver

INDEX = CONTROL / "index.html"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")  # in which the system counts a process's CPU time, its user's and its own each rounded


def make_visit(running: Any, browser: Browser, pictures: Path, **options: Any) -> Visit:
    options = {"start": None, "sources": (), "edit": (INDEX, "yardstick"), **options}
    subject = Subject("costly", "costly", "stock", "Costly", cast(Any, PageDriver), **options)
    return Visit(subject, running, cast(Any, None), browser, pictures, {})


@pytest.fixture
def costly(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    command = [sys.executable, "-m", "tests.limits.costly"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        running = SimpleNamespace(url=url, pid=process.pid, sign_in=lambda page: None)
        yield make_visit(running, browser, tmp_path)
        process.terminate()


def test_a_sessions_memory(costly: Visit) -> None:
    (reading,) = memory(costly)
    assert reading.value == pytest.approx(PAGE_MB, rel=0.4)


def test_a_turns_cpu(costly: Visit) -> None:
    (reading,) = turn(costly)
    assert reading.value is not None
    assert TURN_S - 2 * TICK_S < reading.value < 2 * TURN_S


@contextmanager
def page_of(root: Path, *, at_start: bool = False, blank: bool = False) -> Iterator[Any]:
    """The control page of a copy of the source, read anew for each visitor or once `at_start`; or no page at all."""

    class Handler(BaseHTTPRequestHandler):
        text = b""

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<textarea></textarea>" if blank else self.text if at_start else file.read_bytes())

    def restart() -> None:
        Handler.text = file.read_bytes()

    file = root / INDEX.relative_to(ROOT)
    restart()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    yield SimpleNamespace(url=url, pid=0, sign_in=lambda page: None, restart=restart)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("options", "shown", "why"),
    [
        ({}, True, "A reload shows it."),
        ({"at_start": True}, True, "It takes a restart of the server."),
        ({"blank": True}, False, "The word was not shown, even after a restart of the server."),
    ],
)
def test_from_an_edit_to_the_screen(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], shown: bool, why: str
) -> None:
    """It is a copy that is edited."""
    monkeypatch.setattr("limits.measures.cost.RELOAD_S", 1.0)
    monkeypatch.setattr("limits.measures.cost.RESTART_S", 2.0)
    before, roots = INDEX.read_bytes(), []

    def start(tokens: Any, folder: Path, port: int, root: Path) -> Any:
        roots.append(root)
        return page_of(root, **options)

    (reading,) = edit(make_visit(None, browser, tmp_path, start=start))
    assert ((reading.value or 0) > 0, reading.why) == (shown, why)
    assert INDEX.read_bytes() == before
    assert not roots[0].exists(), "the copy is gone"


def test_a_word_that_is_not_there_is_told(browser: Browser, tmp_path: Path) -> None:
    visit = make_visit(
        None, browser, tmp_path, start=lambda tokens, folder, port, root: page_of(root), edit=(INDEX, "no such word")
    )
    with pytest.raises(ValueError, match=r"index\.html has no “no such word” to edit"):
        list(edit(visit))


PYTHON = '''"""A docstring
of two lines."""
# a comment

import os  # one


def two(
    three=1,
):
    """Another."""
    return """five
    six
    """ + os.sep
'''


@pytest.mark.parametrize(
    ("text", "suffix", "count"),
    [
        (PYTHON, ".py", 7),
        ("/* a\n comment */\na { color: red; /* b */ }\n\n/* c */\n", ".css", 1),
        ("// a\nconst a = 'http://b';\n\n  // c\n/* d\n*/ f();\n", ".js", 2),
        ("<!-- a\nb -->\n<p>c</p>\n<script>\n// d\ne();\n</script>\n", ".html", 4),
        ("", ".py", 0),
    ],
)
def test_what_is_a_line_of_code(text: str, suffix: str, count: int) -> None:
    assert lines.count_one(text, suffix) == count


def test_the_lines_of_a_subject(browser: Browser, tmp_path: Path) -> None:
    files = (tmp_path / "a.py", tmp_path / "b.css")
    for file in files:
        file.write_text("a = 1\n")
    (reading,) = count_lines(make_visit(None, browser, tmp_path, sources=files))
    assert (reading.metric, reading.value) == ("lines", 2)


def test_every_figure_has_its_measure() -> None:
    assert [metric for measure in MEASURES for metric in measure.metrics] == ["memory-session", "cpu-turn", "edit", "lines"]
