"""What a check found, in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auth.words import printable

Level = Literal["ok", "note", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`topic` groups findings. The `text` of a "warning" or of what is "wrong" says what to do. Never a secret in it."""

    topic: str
    level: Level
    text: str


def ok(topic: str, text: str) -> Finding:
    return Finding(topic, "ok", text)


def note(topic: str, text: str) -> Finding:
    return Finding(topic, "note", text)


def warning(topic: str, text: str) -> Finding:
    return Finding(topic, "warning", text)


def wrong(topic: str, text: str) -> Finding:
    return Finding(topic, "wrong", text)


def plain(text: object) -> str:
    """Something that others wrote, fit for a terminal: short, and without control characters."""
    written = str(text)
    return printable(written[:200]) + ("..." if len(written) > 200 else "")
