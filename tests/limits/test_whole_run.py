"""A whole run of the lab in small: what does not start or dies costs its own figures alone, and SIGTERM leaves nothing over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def small_run(folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.limits.small_run", str(folder), how]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    below: list[psutil.Process] = []
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        for one in below:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def values(folder: Path) -> dict[tuple[str, str], Any]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {
        (one["metric"], one["subject"]): one["median"] if one["median"] is not None else one["why"] for one in report["figures"]
    }


def test_what_does_not_start_and_what_dies_is_told_and_the_rest_is_measured(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "control-step-of-another-run.png").write_bytes(b"old")
    (pictures / "holiday.png").write_bytes(b"not ours")
    with small_run(tmp_path, "dies") as process:
        said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    why = "It did not start; what it said last was “There is no such model.”."
    assert values(tmp_path) == {
        ("ttfb", "gradio-stock"): why, ("fcp", "gradio-stock"): why, ("lcp", "gradio-stock"): why,
        ("ttfb", "control"): 0.1, ("fcp", "control"): "The measure did not say.", ("lcp", "control"): 0.1,
    }  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["notes"] == [f"Gradio, stock was not measured. {why}"]
    assert f"Gradio, stock is left out. {why}" in said
    assert report["machine"]["versions"].keys() == {"gradio", "playwright"}
    taken = {one["file"] for one in report["pictures"]}
    assert len(taken) == 8, "of the control page, by a browser and a server that were started again"
    assert {file.name for file in pictures.iterdir()} == taken | {"holiday.png"}
    assert why in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_sigterm_leaves_no_process_behind_and_what_was_read_is_written(tmp_path: Path) -> None:
    with small_run(tmp_path, "hangs") as process:
        assert process.stdout is not None
        assert any(line == "It hangs.\n" for line in process.stdout)
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) > 3, "the model, a server, Playwright and Chromium"
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM, said
        _, left = psutil.wait_procs(below, timeout=20)
        assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []
    assert values(tmp_path)["ttfb", "control"] == 0.1
    assert ("lcp", "control") not in values(tmp_path)
