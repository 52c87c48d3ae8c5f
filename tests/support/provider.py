"""A certified OpenID Connect provider (npm oidc-provider) on loopback, in Google's stead.

`python -m tests.support.provider REDIRECT_URI` starts one to try things by hand; provider/provider.mjs says who may sign in.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from limits.npm import NODE, get_packages

FOLDER = Path(__file__).parent / "provider"
CLIENT_ID = "portico-tests"
CLIENT_SECRET = "known to the tests alone"


class Provider:
    """A running provider; use it `with`. `lines` is what it told, a JSON object a line."""

    def __init__(self, redirect_uri: str, port: int = 0) -> None:
        get_packages(FOLDER)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [NODE, "provider.mjs", CLIENT_ID, CLIENT_SECRET, redirect_uri, str(port)],
            cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.issuer = self.process.stdout.readline().strip()
        if not self.issuer:
            self.process.wait(5)
            raise AssertionError("the provider did not start:\n" + self.log)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def settings(self, name: str = "google") -> dict[str, str]:
        """The variables by which Portico is told of it."""
        given = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "ISSUER": self.issuer, "TITLE": "Google"}
        return {f"PORTICO_OIDC__{name.upper()}__{key}": value for key, value in given.items()}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self._reader.join(timeout=5)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Provider:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


if __name__ == "__main__":
    with Provider(sys.argv[1], 7861) as running:
        print("\n".join(f'{name}="{value}"' for name, value in running.settings().items()))
        running.process.wait()
