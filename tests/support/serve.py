"""Portico as a process of its own, as a person starts it; a scripted model where a test needs to know the pace.

`python -m tests.support.serve [--pace S] [flags of serve]` is `python app.py serve` with the scripted model.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import httpx

from auth.sessions import Account, Sessions
from core.database import open_database
from core.settings import FRONTENDS
from tests.support.clock import wait_until

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = """Here is **bold**, a list and code.

- first
- second

```python
print("hello")
```

| a | b |
|---|---|
| 1 | 2 |
"""


def answer(message: str) -> list[str]:
    """What the scripted model says: "count to 40" counts, "markdown" shows some, anything else is echoed."""
    if found := re.search(r"count to (\d+)", message):
        return [f"{number} " for number in range(1, int(found[1]) + 1)]
    if "markdown" in message:
        return re.findall(r"\S+\s*", MARKDOWN)
    return ["You ", "said: ", message]


class Served:
    """A running Portico; use it `with`. `lines` is what its terminal showed, `environment` are PORTICO_* variables for it."""

    def __init__(
        self, data: Path, *flags: str, pace: float | None = 0.03, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        command = ["-m", "tests.support.serve", "--pace", str(pace)] if pace is not None else ["app.py", "serve"]
        self.data, self.lines = data, []  # type: ignore[var-annotated]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")} | dict(environment or {})
        self.process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--data", str(data), *flags],
            cwd=ROOT, stderr=subprocess.PIPE, text=True, env=ours,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def terminal(self) -> str:
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        """Its address, waited for."""
        return self._wait_for(r"on (http://\S+)")

    @property
    def listening_port(self) -> int:
        """The port that it listens on, behind a proxy too (the scripted one only)."""
        return int(self._wait_for(r"listening on (\d+)"))

    def _wait_for(self, pattern: str) -> str:
        wait_until(lambda: re.search(pattern, self.terminal) or self._died(), what=pattern)
        found = re.search(pattern, self.terminal)
        assert found, self.terminal
        return found[1]

    @property
    def link(self) -> str:
        """The newest sign-in link, waited for."""
        wait_until(lambda: "/auth/link#" in self.terminal or self._died(), what="the sign-in link")
        return re.findall(r"http://\S+/auth/link#\S+", self.terminal)[-1]

    def wait_ready(self, seconds: float = 90) -> Served:
        url = self.url
        wait_until(lambda: self._died() or self._ready(url), seconds, 0.1, self.terminal)
        return self

    def _ready(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/readyz").status_code == 200
        except httpx.TransportError:  # busy importing, or gone, which _died tells
            return False

    def _died(self) -> bool:
        if self.process.poll() is not None:
            self._reader.join(timeout=5)
            raise AssertionError(f"Portico exited with {self.process.returncode}:\n{self.terminal}")
        return False

    def session(self, user: str = "owner") -> dict[str, str]:
        """A cookie by which `user` is signed in, made beside the running server."""
        database = open_database(f"sqlite:///{self.data / 'portico.db'}")
        token = Sessions(database).create(Account(user, user.title(), "admin" if user == "owner" else "member"))
        database.dispose()
        return {f"portico-{self.url.rpartition(':')[2]}": token}

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"Portico did not stop within {seconds} s:\n{self.terminal}") from None

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._reader.join(timeout=5)
        assert self.process.stderr is not None
        self.process.stderr.close()


def main() -> None:
    import app
    from core.settings import load_settings
    from tests.support.runner import ScriptedRunner

    parser = argparse.ArgumentParser()
    parser.add_argument("--pace", type=float)
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--ui", action="append")
    parser.add_argument("--seen-as", type=int, default=0, help="the port of a proxy in front, which browsers are given")
    parser.add_argument("--hold", type=Path, help="a file without which no frontend loads")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    if "hold" in given:
        hold_frontends(given.pop("hold"))
    sys.addaudithook(tell_outside_hosts)
    runner, proxy = ScriptedRunner(answer, pace_s=given.pop("pace")), given.pop("seen_as")
    settings = load_settings(given)
    listening = app.listen(settings)
    port = listening[0].getsockname()[1]
    print(f"listening on {port}", file=sys.stderr)
    app.run_server(settings.model_copy(update={"port": proxy or port}), listening, runner)


def hold_frontends(file: Path) -> None:
    """Let no frontend load before `file` is there, so that a test sees who waits for them."""
    for name in FRONTENDS:
        frontend = importlib.import_module(f"ui_{name}").frontend
        frontend.load = functools.partial(_load_late, frontend.load, file)


def _load_late(load: Callable[[], None], file: Path) -> None:
    wait_until(file.exists, seconds=60, what="the test to let the frontends load")
    load()


def tell_outside_hosts(event: str, details: tuple[object, ...]) -> None:
    """Python's own audit event for each connection that the process makes; a test reads the terminal for these lines."""
    if event == "socket.connect" and isinstance(details[1], tuple):
        host = str(details[1][0])
        if not host.startswith("127.") and host not in ("::1", "localhost"):
            print(f"OUTSIDE HOST {host}", file=sys.stderr)
    elif event == "socket.getaddrinfo" and str(details[0]) not in ("127.0.0.1", "localhost", "::1", "None"):
        print(f"OUTSIDE HOST {details[0]}", file=sys.stderr)


if __name__ == "__main__":
    main()
