from __future__ import annotations

import mmap
from pathlib import Path

import pytest
import torch

from core.engine.pages import LINUX, drop_files

SIZE = 8 * 2**20


def resident(file: Path) -> int:
    """How much of a mapped file the process holds, in bytes."""
    text = Path("/proc/self/smaps").read_text().split(str(file))[1]
    return int(text.split("Rss:")[1].split()[0]) * 1024


@pytest.mark.skipif(not LINUX, reason="elsewhere nothing is given back")
def test_a_files_pages_are_given_back_and_read_again_but_not_those_that_were_changed(tmp_path: Path) -> None:
    read, changed = tmp_path / "read.weights", tmp_path / "changed.weights"
    for file in (read, changed):
        file.write_bytes(b"\x01" * SIZE)
    parts = [torch.from_file(str(file), shared=False, size=SIZE, dtype=torch.uint8) for file in (read, changed)]
    parts[1][: mmap.PAGESIZE] = 2
    assert [int(part.sum()) for part in parts] == [SIZE, SIZE + mmap.PAGESIZE]
    assert resident(read) >= SIZE
    drop_files()
    assert resident(read) == 0
    assert [int(part.sum()) for part in parts] == [SIZE, SIZE + mmap.PAGESIZE]
