"""The machine and the software that a report was made with."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil


def describe(chromium: str, frontends: Iterable[str]) -> dict[str, Any]:
    """As the report's `machine`; memory in GiB, load as of the last minute."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} on {platform.machine()}",
        "python": platform.python_version(),
        "chromium": chromium,
        "versions": versions([*frontends, "playwright"]),
        "load": load(),
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Of those that are Python packages."""
    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def load() -> float:
    """The load of the last minute: how many processes wanted a core."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unnamed CPU"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "an unnamed CPU")
