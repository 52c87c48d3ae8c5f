"""A run as the Chatbot takes it. What a person wrote is shown as typed, what a model wrote as Markdown; neither becomes HTML."""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterator
from dataclasses import replace
from html import escape
from typing import Any

from core.runs import Stream
from core.store import Run
from core.types import Delta, Queued, Started
from core.waiting import place

FENCE = re.compile(
    r"^(?P<open>(?:[ \t]|[->*+]|\d+[.)])*(?P<fence>`{3,}|~{3,}))(?P<info>[^\n`]*)"
    r"(?P<code>(?:\n.*?)?(?:^[ \t>]*(?P=fence)[`~]*[ \t]*$|\Z))",
    re.M | re.S,
)
SPAN = re.compile(r"(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).){1,2000}?(?<!`)(?P=ticks)(?!`)", re.S)
# $E=mc^2$ but not "$5 or $6": no space inside the signs, no digit after them
INLINE_MATH = re.compile(r"(?<![\\$\w])\$(?![\s$])([^$\n]*[^\s$\\])\$(?![\d$])")
DELIMITERS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": r"\[", "right": r"\]", "display": True},
    {"left": r"\(", "right": r"\)", "display": False},
]
DIAGRAM = re.compile(r"([`~]{3,}[ \t]*)mermaid", re.I)
JOINER = "\N{WORD JOINER}"
COPY = "copy"  # an option's value; that of the others is the run to be answered again
MATH = re.compile("|".join(f"{re.escape(str(d['left']))}.{{1,2000}}?{re.escape(str(d['right']))}" for d in DELIMITERS), re.S)

ENTITIES = {ord(char): f"&#{ord(char)};" for char in string.punctuation}


def of(run: Run, question: str, waiting: Queued | None = None, last: bool = False) -> list[dict[str, Any]]:
    """The question, the answer so far, a line under it, and for the `last` run what can be done with it."""
    parts = [answer(run.text)] if run.text else []
    options: list[dict[str, str]] = []
    if run.live:
        parts += [] if run.text else [_skeleton(waiting)]
    elif run.status == "failed":
        parts.append(f'<p class="failed">{literal(run.error or "")}</p>')
        options = [{"label": "Retry", "value": run.id}]
    else:
        parts.append(f'<p class="stats">{escape(run.figures)}</p>')
        copy = [{"label": "Copy", "value": COPY}] if run.text else []
        options = [*copy, {"label": "Regenerate", "value": run.id}]
    shown: list[dict[str, Any]] = [{"role": "assistant", "content": part} for part in parts]
    if last and options:
        shown[-1]["options"] = options
    return [{"role": "user", "content": literal(question)}, *shown]


async def growing(run: Run, events: Stream) -> AsyncIterator[tuple[Run, Queued | None]]:
    """The run with its text so far and its place in the queue, at every event, the idle ones too."""
    waiting: Queued | None = None
    async for event in events:
        match event:
            case Delta(text) if text:
                run = replace(run, text=run.text + text)
            case Queued():
                run, waiting = replace(run), event
            case Started() if waiting:
                run, waiting = replace(run), None
        yield run, waiting


def _skeleton(waiting: Queued | None) -> str:
    where = f'<p class="place">{place(waiting)}</p>' if waiting else ""
    return f'{where}<div class="skeleton"><span></span><span></span><span></span></div>'


def literal(text: str) -> str:
    """What a person typed, to be shown as it was typed."""
    lines = []
    for line in text.split("\n"):
        words = line.lstrip(" ")
        lines.append("&nbsp;" * (len(line) - len(words)) + words.translate(ENTITIES))
    return "\n".join(lines)


def answer(text: str) -> str:
    """What a model wrote: Markdown, code and math, but no HTML, no images and no diagrams, which would run or load things.

    What is code here may be none to the browser's parser. So no "<" is left before what could make it a tag, in code neither:
    there an invisible JOINER parts them, which script.js takes out again when all is drawn.
    """
    parts, at = [], 0
    for code in FENCE.finditer(text):
        parts += [_inline(text[at : code.start()]), code["open"], _language(code["info"]), _code(code["code"])]
        at = code.end()
    parts.append(_inline(text[at:]))
    # Gradio lifts math out before it reads Markdown, code included, and puts it back as HTML
    shown = MATH.sub(lambda math: math[0].replace(JOINER, "").replace("<", "&lt;"), "".join(parts))
    return DIAGRAM.sub(r"\1text", shown)


def _inline(text: str) -> str:
    parts, at = [], 0
    for code in SPAN.finditer(text):
        parts += [_prose(text[at : code.start()]), _code(code[0])]
        at = code.end()
    return "".join([*parts, _prose(text[at:])])


def _prose(text: str) -> str:
    text = INLINE_MATH.sub(lambda math: rf"\({math[1]}\)", text)
    return text.replace("<", "&lt;").replace("![", "&#33;[")


def _code(text: str) -> str:
    return re.sub(r"<(?=[A-Za-z/!?])|!(?=\[)", lambda sign: sign[0] + JOINER, text)


def _language(info: str) -> str:
    return re.sub(r"[^\w+#.-]", "", info.split()[0] if info.split() else "")
