"""A model's answer as Streamlit draws it: its Markdown made safe, cut into blocks while it grows, and its figures."""

from __future__ import annotations

import html
import re

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

FENCE = re.compile(r" {0,3}(```+|~~~+)")
# Lines that may belong to what stands before a blank line; a line that has only begun may yet become one.
GOES_ON = re.compile(r"\s|[-*+](?:\s|\Z)|\d+(?:[.)](?:\s|\Z)|\Z)|\||\Z")
# Code and formulas stay as they are, a lone dollar is money, and an image becomes a link: it would be loaded from elsewhere.
SPECIAL = re.compile(
    r"(?P<code>^ {0,3}(?P<fence>```+|~~~+).*?(?:^ {0,3}(?P=fence)|\Z)|(?<!`)(?P<ticks>`+)(?!`).{1,2000}?(?<!`)(?P=ticks)(?!`))"
    r"|\\\[(?P<block>.{1,2000}?)\\\]|\\\((?P<inline>.{1,2000}?)\\\)"
    r"|(?P<math>\$\$.{1,2000}?\$\$|\$(?=\S)[^$\n]+?(?<=\S)\$(?!\d))"
    r"|(?P<escaped>\\.)|(?P<dollar>\$)|(?P<image>!\[)|(?P<directive>:(?=[\w+/-]+[:\[]))|(?P<line>(?<=\S)\n(?=\S))",
    re.DOTALL | re.MULTILINE,
)
IMAGE_END = re.compile(r"\]\s*[(\[]")
JOINER = "\N{WORD JOINER}"
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class Answer:
    """Shows a text that grows, in the current container.

    Streamlit sends an element whole at each change, so a long answer in one element costs bytes by the square of its length:
    only the last block is sent anew, what stands before it is sent once.
    """

    def __init__(self) -> None:
        self._closed = 0
        self._tail = st.empty()
        self._why: DeltaGenerator | None = None

    def wait(self, why: str = "") -> None:
        """A skeleton until there is text; `why` says what it waits for, which page.js reads out."""
        if self._why is None:  # once: drawn anew, it would flicker
            with self._tail.container():
                self._why = st.empty()
                st.skeleton(height=16)
                st.skeleton(height=16)
                st.skeleton(height=16, width=200)
        if why:
            self._why.html(f'<p class="portico-place">{html.escape(why)}</p>')
        else:
            self._why.empty()

    def show(self, text: str) -> None:
        parts = blocks(text)
        for part in parts[self._closed : -1]:
            self._tail.markdown(markdown(part), anchors=False)
            self._tail = st.empty()
        self._closed = max(self._closed, len(parts) - 1)
        self._tail.markdown(markdown(parts[-1]), anchors=False)


def blocks(text: str) -> list[str]:
    """`text` cut at blank lines that surely end a block; more text changes the last block alone."""
    found: list[list[str]] = [[]]
    fence = ""
    blank = False
    for line in text.splitlines(keepends=True):
        if blank and not fence and line.strip() and not GOES_ON.match(line):
            found.append([])
        if match := FENCE.match(line):
            fence = match[1] if not fence else "" if match[1].startswith(fence) else fence
        blank = not line.strip()
        found[-1].append(line)
    return ["".join(lines) for lines in found]


def markdown(text: str) -> str:
    """A model's Markdown as Streamlit's, with nothing in it that loads from another host. Raw HTML is escaped by Streamlit."""

    def mend(match: re.Match[str]) -> str:
        if match["block"]:
            return f"$$\n{match['block'].strip()}\n$$"
        if match["inline"]:
            return f"${match['inline'].strip()}$"
        if code := match["code"]:
            # What is code here may be none to the browser's parser. Where it could then be an image, a joiner parts it, which
            # page.js takes out again; elsewhere it stays as it is, for who copies it.
            return code.replace("![", f"!{JOINER}[") if IMAGE_END.search(code) else code
        if match["directive"]:  # :smile:, :red[...] and the like are Streamlit's own, not the model's
            return f":{JOINER}"
        if match["line"]:  # a new line is one in a chat
            return "  \n"
        return "\\$" if match["dollar"] else "[" if match["image"] else match[0]

    return SPECIAL.sub(mend, text)


def plain(text: str) -> str:
    """`text` as a label that shows it as it is: labels are Markdown."""
    return PUNCTUATION.sub(r"\\\1", text)
