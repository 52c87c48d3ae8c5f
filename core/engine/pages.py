"""Memory that is the system's again as soon as it is let go of, and takes none before it is written.

Of what malloc gets back, glibc keeps the most for later; between steps of ever other sizes that came to as much as the key-value
cache itself. So the cache is mapped, and what weights were read from goes page by page.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from math import prod
from pathlib import Path

import torch

LINUX = sys.platform == "linux"  # elsewhere there may be no such advice, or it means something else
DONT_NEED, NO_RESERVE = 4, 0x4000  # madvise(2), mmap(2)
MAPPED = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r[w-]-p \S+ \S+ [1-9]\d*\s+(?!.*\.so\b)")  # a file's, but no library's
HEADER = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")


def zeros(shape: tuple[int, ...], like: torch.Tensor, at_once: bool = False) -> torch.Tensor:
    """Zeros of the type and on the device of `like`; `at_once` gets what is written to in full sooner. Raises MemoryError."""
    if not LINUX or like.device.type != "cpu":
        return like.new_zeros(shape)
    size = prod(shape)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (mmap.MAP_POPULATE if at_once else NO_RESERVE)
    try:
        pages = mmap.mmap(-1, size * like.element_size(), flags)
    except OSError as error:
        raise MemoryError(f"no {size * like.element_size()} bytes for the key-value cache") from error
    with suppress(OSError):  # a kernel without huge pages; with them, one token would take 2 MB
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=like.dtype, count=size).view(shape)


def discard(part: torch.Tensor) -> None:
    """Give back the pages of which `part`, which is contiguous, has every byte: it is zeros there. Else it stays as it is."""
    if LINUX and part.device.type == "cpu":
        _give_back(part.data_ptr(), part.data_ptr() + part.nbytes)


def drop_files() -> None:
    """Give back what was read of mapped files, libraries apart, and not changed; it is read again when it is needed."""
    if not LINUX:
        return
    with suppress(OSError):
        for start, end in list(_unchanged(Path("/proc/self/smaps").read_text())):
            _give_back(start, end)


def _unchanged(smaps: str) -> Iterator[tuple[int, int]]:
    here: tuple[int, int] | None = None
    for line in smaps.splitlines():
        if HEADER.match(line):
            found = MAPPED.match(line)
            here = (int(found[1], 16), int(found[2], 16)) if found else None
        elif here and line.startswith("Anonymous:"):  # pages of its own, which a private mapping has of what was written to
            if line.split()[1] == "0":
                yield here
            here = None


def _give_back(start: int, end: int) -> None:
    start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), DONT_NEED)
