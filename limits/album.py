"""Pictures as data URIs, so that the report is one file; the more there are, the smaller each."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

BUDGET_BYTES = 3_600_000  # of all pictures; base64 makes a third more of it, and the page is to stay below 6 MB
SIZES = ((1280, 82), (1280, 70), (1000, 66), (800, 60), (640, 50), (480, 40))  # widest side in px, WebP's quality


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture for the page; its size in px keeps the place before it is drawn."""

    uri: str
    width: int
    height: int


def album(folder: Path, files: Iterable[str], budget: int = BUDGET_BYTES) -> dict[str, Shot]:
    """The named files of `folder` that are there, by name; all of them within `budget` bytes, or as small as we make them."""
    wanted = [name for name in dict.fromkeys(files) if name and Path(name).name == name and (folder / name).is_file()]
    made: dict[str, tuple[bytes, Image.Image]] = {}
    for side, quality in SIZES:
        made = {}
        for name in wanted:
            with suppress(OSError):  # a file that is no picture is not worth an hour's report
                made[name] = _encode(folder / name, side, quality)
        if sum(len(data) for data, _ in made.values()) <= budget:
            break
    return {
        name: Shot("data:image/webp;base64," + base64.b64encode(data).decode(), *image.size)
        for name, (data, image) in made.items()
    }


def _encode(file: Path, side: int, quality: int) -> tuple[bytes, Image.Image]:
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    image.thumbnail((side, side * 4))  # a full page is long
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=4)
    return data.getvalue(), image
