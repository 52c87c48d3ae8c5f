"""The contestants as processes: started once for each model, asked in turn, started anew after a crash or a cap."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import psutil

from bench import client, meter
from bench.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
START_S = 300.0  # a large model on a busy machine
GRACE_S = 120.0  # beyond a plan's cap, for a step that cannot be interrupted


class Crashed(Exception):
    """A contestant could not start, or ended; the message says why."""


class Contestant(Protocol):
    """Plays plans in a process of its own."""

    def play(self, plan: Plan) -> dict[str, Any]:
        """`Outcome`'s fields with cpu_s and peak_mb (bench.bound's for the bound). Raises Crashed."""

    def stop(self) -> None:
        """End the process."""


def environment(threads: int, device: str) -> dict[str, str]:
    """Nothing is downloaded or told, and nothing of the caller's own Portico is taken over but PORTICO_MEMORY.

    `threads` 0 leaves torch its own choice. A run on the CPU sees no GPU, since Portico would take it.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_") or name == "PORTICO_MEMORY"}
    chosen = ({"OMP_NUM_THREADS": str(threads)} if threads else {}) | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})
    return ours | chosen | {
        "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False",
        "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


class InProcess:
    """Rows whose asker and engine share a process: bench/contestant.py."""

    def __init__(self, row: str, folder: Path, device: str, log: Path, threads: int = 0) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(  # noqa: S603 (ours)
                [sys.executable, "-m", "bench.contestant", row, str(folder), device],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env=environment(threads, device),
                text=True, bufsize=1,
            )  # fmt: skip
        self._line(START_S)

    def play(self, plan: Plan) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(plan)) + "\n")
        except OSError:
            raise Crashed(last_line(self._log)) from None
        return self._line(plan.cap_s + GRACE_S)

    def _line(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            why = last_line(self._log) if ready else f"no answer within {seconds:.0f} s"
            self.stop()
            raise Crashed(why)
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise Crashed(found["error"])
        return found

    def stop(self) -> None:
        end(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]


class Served:
    """Rows that are asked over HTTP: `command` serves, `ready(log)` makes the client once it does."""

    def __init__(
        self, command: list[str], log: Path, ready: Callable[[str], client.Server | None], threads: int, device: str
    ) -> None:
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(  # noqa: S603 (ours)
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment(threads, device)
            )
        deadline = time.monotonic() + START_S
        while (server := ready(log.read_text(errors="replace"))) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Crashed(last_line(log))
            time.sleep(0.2)
        self._server = server

    def play(self, plan: Plan) -> dict[str, Any]:
        meter.forget_peak(self._process.pid)
        before = meter.cpu_s(self._process.pid)
        outcome = client.drive(plan, self._server)
        if self._process.poll() is not None:
            raise Crashed(last_line(self._log))
        cpu = meter.cpu_s(self._process.pid) - before
        return {**asdict(outcome), "cpu_s": cpu, "peak_mb": meter.peak_mb(self._process.pid)}

    def stop(self) -> None:
        end(self._process)


def end(process: subprocess.Popen[Any]) -> None:
    """Kill the process and its children, and wait."""
    for one in reversed(meter.tree(process.pid)):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it ended without a word"
