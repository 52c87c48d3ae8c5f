"""What a process and its children have taken: CPU seconds, and the most memory since it was last asked to forget."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil


def tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """User and system seconds of the process, of its children, and of those of them that have ended."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def forget_peak(pid: int) -> None:
    """The peak begins anew from what is held now (Linux; elsewhere `peak_mb` is of the whole life or of now)."""
    for process in tree(pid):
        with suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    """The most resident memory (VmHWM) of each process, summed; what is held now where the system does not tell."""
    return sum(map(_peak_mb, tree(pid)))


def _peak_mb(process: psutil.Process) -> float:
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 2**20
    return 0.0
