"""Starts the subjects: each a process of its own on loopback, as a person starts it, which can be stopped and started again."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page

from limits.token_server import TokenServer
from limits.told import Told

ROOT = Path(__file__).resolve().parents[1]
START_S, STOP_S = 120.0, 20.0

Start = Callable[..., AbstractContextManager["Process"]]  # (tokens, folder, port, root=ROOT): `root` holds the source that runs


class DidNotStart(Told):
    """A process ended, or did not answer in time. `terminal` is all that it said, of which the message has the last line."""

    def __init__(self, words: Sequence[str], terminal: str) -> None:
        last = next((line.strip() for line in reversed(terminal.splitlines()) if line.strip()), "")
        super().__init__("It did not start" + (f"; what it said last was “{last[:200]}”." if last else ", and did not say why."))
        self.terminal = terminal
        self.add_note(f"{' '.join(words)}:\n{terminal[-2000:]}")  # for who reads a traceback


class Process:
    """A subject that serves. `url` is its page as browsers open it, `target` the port at which it listens (for a proxy in front).

    Raises DidNotStart if it does not come up.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, target: int, url: str, ready: str = "/", root: Path = ROOT, **environment: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.url, self.target, self._root = url, target, root
        self._words, self._environment = [sys.executable, *words], ours() | environment
        self._terminal, self._ready = folder / "terminal.txt", f"http://127.0.0.1:{target}{ready}"
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def terminal(self) -> str:
        """What it has said since it was started last."""
        return self._terminal.read_text(encoding="utf-8", errors="replace")

    def sign_in(self, page: Page) -> None:
        """Nothing: there is no sign-in."""

    def restart(self) -> None:
        """Stop it and start it again at the same address with the same data."""
        self.stop()
        self._start()

    def renew(self) -> None:
        """Start it again at the same address, without what it kept."""
        self.stop()
        for kept in (one for one in self._folder.iterdir() if one != self._terminal):
            shutil.rmtree(kept)
        self._start()

    def revive(self) -> None:
        """Start it again if it ended by itself."""
        if self._process.poll() is not None:
            self._start()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to who does not listen."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        with self._terminal.open("wb") as terminal:
            self._process = subprocess.Popen(
                self._words, cwd=self._root, env=self._environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
            )
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(self._ready, timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:  # not listening yet, or busy importing
                pass
            time.sleep(0.1)
        raise DidNotStart(self._words[1:], self.terminal)


class Portico(Process):
    """Opened by the link that it prints, as by a person on this machine."""

    _cookies: list[Any] | None = None

    def renew(self) -> None:
        self._cookies = None
        super().renew()

    def sign_in(self, page: Page) -> None:
        """Let `page`'s browser context in. The link is used in a context of its own, so that this one's cache stays empty."""
        if self._cookies is None:
            browser = page.context.browser
            assert browser is not None
            apart = browser.new_context()
            try:
                door = apart.new_page()
                door.goto(self._link())
                door.get_by_role("button", name="Sign in").click()
                door.wait_for_url(f"http://127.0.0.1:{self.target}/", wait_until="commit")
                self._cookies = [{**cookie} for cookie in apart.cookies()]
            finally:
                apart.close()
        page.context.add_cookies(self._cookies)  # a cookie is the host's, whatever the port

    def _link(self) -> str:
        """The terminal's newest link, without a proxy between."""
        path = re.findall(r"http://[^/\s]+(/auth/link#\S+)", self.terminal)[-1]
        return f"http://127.0.0.1:{self.target}{path}"


@contextmanager
def _until_left(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.stop()


def stock(name: str) -> Start:
    """Starts limits/stock/NAME_chat.py, or the control page, through our compression."""

    def start(tokens: TokenServer, folder: Path, port: int, root: Path = ROOT) -> AbstractContextManager[Process]:
        target = free_port()
        words = ["-m", "limits.serve_stock", name, "--port", str(target)]
        address, model = f"http://127.0.0.1:{port or target}/", {"OPENAI_BASE_URL": tokens.url, "OPENAI_API_KEY": "unused"}
        return _until_left(Process(words, folder, target, address, root=root, **model))

    return start


def pushed(name: str) -> Start:
    """Starts Portico with one frontend."""

    def start(tokens: TokenServer, folder: Path, port: int, root: Path = ROOT) -> AbstractContextManager[Process]:
        target = free_port()
        words = ["app.py", "serve", "--engine", tokens.url, "--ui", name, "--port", str(target), "--data", str(folder / "data")]
        if port:
            words += ["--public-url", f"http://127.0.0.1:{port}"]
        address = f"http://127.0.0.1:{port or target}/{name}/?c=new"  # empty at first, as a stock page is
        return _until_left(Portico(words, folder, target, address, "/readyz", root))

    return start


def ours() -> dict[str, str]:
    """The environment without what a developer's shell may have set for any of these."""
    theirs = ("PORTICO_", "OPENAI_", "GRADIO_", "STREAMLIT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
