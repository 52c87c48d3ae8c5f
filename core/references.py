"""Models as people write them: `ID_OR_PATH` or `NAME=ID_OR_PATH`. Looks at folders alone: nothing large, no network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelNotFound

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"
BUNDLED_NAME = "Portico Guide"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model as it was asked for: a folder, or a hub id with a revision ("" for the default branch)."""

    name: str
    folder: Path | None = None
    hub_id: str = ""
    revision: str = ""


def parse_reference(text: str) -> Reference:
    """`ORG/NAME`, `ORG/NAME@REVISION` or a folder; a folder that exists wins. Raises ModelNotFound."""
    if folder := existing_folder(text):
        return Reference(name_of(text), folder=folder)
    hub_id, _, revision = text.partition("@")
    if text.startswith((".", "/", "~")) or not HUB_ID.match(hub_id):
        raise ModelNotFound(text, "there is no such folder. Give a folder, or a hub id such as Qwen/Qwen3-0.6B.")
    return Reference(hub_id, hub_id=hub_id, revision=revision)


def name_of(text: str) -> str:
    """What a model is called that was given no name: as its folder, or by its hub id without the revision."""
    if folder := existing_folder(text):
        return BUNDLED_NAME if folder == BUNDLED_MODEL else folder.name
    return text.partition("@")[0]


def existing_folder(text: str) -> Path | None:
    """The folder that `text` names, if it is one that this process may see."""
    try:
        folder = Path(text).expanduser() if text else None
        return folder.resolve() if folder and folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long, forbidden, or the home of a user whom nobody knows
        return None


def split_name(text: str) -> tuple[str, str]:
    """The name ("" for none) and the model of `NAME=ID_OR_PATH`; a folder with "=" in its path wins. Raises ValueError."""
    name, equals, reference = text.partition("=")
    if not equals or existing_folder(text):
        return "", text
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no name for a model; use letters, digits, dots, hyphens and underscores")
    if not reference:
        raise ValueError(f"say after {name}= which model it is: a hub id, or a folder")
    return name, reference
