"""One contestant in a process of its own: reads plans as JSON lines, plays each, writes its figures as a JSON line.

`python -m bench.contestant ROW FOLDER DEVICE`; started by bench/contestants.py.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import meter
from bench.drive import Ask, drive
from bench.plan import Plan

Play = Callable[[Plan], dict[str, Any]]


def load(folder: Path, device: str) -> tuple[Any, Any]:
    """The model and its tokenizer, as anybody loads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to(device).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def player(row: str, folder: Path, device: str) -> Play:
    """What plays a plan to the contestant of that letter."""
    if row in ("e", "t", "T"):
        from bench import continuous, engines

        engine = engines.portico(folder) if row == "e" else continuous.engine(folder, device, cpu_attention=row == "T")
        asked = engines.Asked(engine)  # one for all plans: an engine keeps what it computed by the request's id
        return lambda plan: played(plan, asked.ask)
    model, tokenizer = load(folder, device)
    if row == "g":
        from bench.bound import bound

        return lambda plan: bound(model, plan)
    from bench.serial import OneAtATime, ThreadEach

    serial = OneAtATime(model, tokenizer) if row == "a" else ThreadEach(model, tokenizer)
    return lambda plan: played(plan, serial.ask)


def played(plan: Plan, ask: Ask) -> dict[str, Any]:
    """A round's answers and what it took."""
    pid = os.getpid()
    meter.forget_peak(pid)
    before = meter.cpu_s(pid)
    outcome = drive(plan, ask)
    return {**asdict(outcome), "cpu_s": meter.cpu_s(pid) - before, "peak_mb": meter.peak_mb(pid)}


def gpu_peak_mb(device: str) -> dict[str, float]:
    if device != "cuda":
        return {}
    import torch

    peak = torch.cuda.max_memory_allocated() / 2**20
    torch.cuda.reset_peak_memory_stats()
    return {"gpu_mb": peak}


def main() -> None:
    row, folder, device = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        play = player(row, folder, device)
        say({"ready": True})
        for line in sys.stdin:
            say(play(Plan(**json.loads(line))) | gpu_peak_mb(device))
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"[:300]})
        raise
    finally:
        answers.flush()
        os._exit(0)  # threads that still generate are not waited for


if __name__ == "__main__":
    main()
