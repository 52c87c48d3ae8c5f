"""Runs Lighthouse from npm on a page that one must be signed in for.

It gets a Chromium of its own that holds the sign-in's cookies already: as a header of every request (Lighthouse's own way) they
would not reach a websocket, and would replace those that the page sets.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from limits.chromium import ARGS, chromium_path
from limits.npm import NODE, PACKAGES, get_packages
from limits.subjects import Lacks
from limits.visit import Visit

LIGHTHOUSE = PACKAGES / "lighthouse" / "cli" / "index.js"
START_S, RUN_S = 30, 150
ENDLESS = "*/heartbeat/*"  # Gradio's, with which the network never rests
BENCHMARK = "benchmarkIndex "  # begins the line of what was found that says how fast the machine is
LOAD_S = 20  # nor does it with a stream that a page listens to; Lighthouse would wait 45


def lighthouse(visit: Visit, port: int, form: Literal["mobile", "desktop"]) -> dict[str, Any]:
    """Lighthouse's result for performance, from the Chromium whose protocol is at `port`. Raises Lacks with what went wrong."""
    with TemporaryDirectory(prefix="portico-lighthouse-") as folder:
        out = Path(folder) / "result.json"
        command = [
            str(NODE), str(LIGHTHOUSE), visit.running.url, f"--port={port}", "--quiet", "--output=json", f"--output-path={out}",
            "--only-categories=performance", f"--blocked-url-patterns={ENDLESS}", "--no-enable-error-reporting",
            "--disable-full-page-screenshot", f"--max-wait-for-load={LOAD_S * 1000}",
            *(["--preset=desktop"] if form == "desktop" else []),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise Lacks(f"Lighthouse did not end within {RUN_S} s.") from None
        if not out.exists():
            told = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"it ended with {done.returncode}")
            raise Lacks(f"Lighthouse gave no result: {told.strip()[:200]}")
        result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if result["categories"]["performance"]["score"] is None:
        error = result.get("runtimeError") or {"message": "a page that it could not score"}
        raise Lacks(f"Lighthouse gave no score: {error['message'][:200]}")
    wanted, shown = (urlsplit(one).path for one in (visit.running.url, result["finalDisplayedUrl"]))
    if not shown.startswith(wanted):  # a page that asks to sign in, say, is a fast one
        raise Lacks(f"Lighthouse was shown {shown}, and not {wanted}.")
    return result


@contextmanager
def signed_in_chromium(visit: Visit) -> Iterator[int]:
    """A Chromium signed in to the subject, for as long as the `with` lasts; the port of its DevTools protocol, on loopback."""
    get_packages()
    with visit.page() as page:
        cookies = page.context.cookies()
    program = chromium_path() or visit.browser.browser_type.executable_path
    with TemporaryDirectory(prefix="portico-chromium-", ignore_cleanup_errors=True) as folder:
        command = [program, *ARGS, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            port = _port(Path(folder) / "DevToolsActivePort", process)
            browser = visit.browser.browser_type.connect_over_cdp(f"http://127.0.0.1:{port}")
            browser.contexts[0].add_cookies(cast(Any, cookies))  # what one context tells another takes
            browser.close()  # lets go of it
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    """The first line of `file`, which Chromium writes when it listens."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and (lines := file.read_text(encoding="utf-8").splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise Lacks("The Chromium for Lighthouse did not start.")
