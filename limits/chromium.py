"""The Chromium that tests and lab drive: the one on PATH, else Debian's where apt-get is usable, else Playwright's own.

`python -m limits.chromium` gets it; `chromium_path()` finds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str | None:
    """The browser on PATH, None if Playwright's own is to be used."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def get_chromium() -> None:
    """Install a Chromium if there is none."""
    if chromium_path() or playwright_has_one():
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing Debian's Chromium", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        installed = all(
            subprocess.run(["apt-get", "-q", *words], env=environment, stdout=subprocess.DEVNULL).returncode == 0
            for words in (["update"], ["install", "-y", "chromium"])
        )
        if installed and chromium_path():
            return
    print("Installing Playwright's Chromium", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def playwright_has_one() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path).exists()


if __name__ == "__main__":
    get_chromium()
