"""A small phrase grammar: `(a|b)` picks one, `[x]` may be left out, `{name}` stands for a macro.

It samples phrasings for the corpus, and it turns into a regular expression, so that a test can prove that a held-out
question is none of them.
"""

import random
import re
from functools import cache

MACROS = {
    "how": (
        "(how do i|how can i|how to|how would i|how should i|how could i|how do you|how does one|how do we|how can we|"
        "what is the way to|what is the best way to|what's the easiest way to|is there a way to|tell me how to|"
        "show me how to|explain how to|explain to me how to|can you tell me how to|could you explain how to|"
        "can you show me how to|do you know how to|i want to|i would like to|i'd like to|i need to|i have to|i try to|"
        "i wonder how to|help me|help me to|can you help me|what do i do to|what do i need to do to|"
        "what must i do to|can i|could i|may i|how is it possible to|ways to|i don't know how to|we want to|let me)"
    ),
    "what": (
        "(what is|what's|whats|what are|explain|explain to me|tell me about|tell me what is|describe|what do you mean by|"
        "can you explain|could you explain|please explain|i don't understand|do you know)"
    ),
    "tell": "(tell me|explain to me|can you tell me|could you tell me|say|please tell me|i want to know|i wonder)",
}

Node = str | list["Node"] | tuple["Node", ...]  # a text, a sequence, or alternatives


@cache
def parse(pattern: str) -> tuple[Node, ...]:
    """The pattern as alternatives of sequences."""
    for name, macro in MACROS.items():
        pattern = pattern.replace("{" + name + "}", macro)
    alternatives, rest = _alternatives(pattern, 0)
    if rest != len(pattern):
        raise ValueError(f"unbalanced bracket at {rest} in {pattern!r}")
    return alternatives


def _alternatives(text: str, at: int) -> tuple[tuple[Node, ...], int]:
    found: list[Node] = []
    sequence: list[Node] = []
    while at < len(text) and text[at] not in ")]":
        if text[at] == "|":
            found.append(sequence)
            sequence, at = [], at + 1
        elif text[at] in "([":
            inner, end = _alternatives(text, at + 1)
            if end == len(text):
                raise ValueError(f"no closing bracket in {text!r}")
            sequence.append(("", *inner) if text[at] == "[" else inner)
            at = end + 1
        else:
            end = at
            while end < len(text) and text[end] not in "()[]|":
                end += 1
            sequence.append(text[at:end])
            at = end
    return (*found, sequence), at


def sample(pattern: str, rng: random.Random) -> str:
    """One phrasing of the pattern, single-spaced."""
    return " ".join(_pick(parse(pattern), rng).split()).replace(" ,", ",")


def _pick(node: Node, rng: random.Random) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, tuple):
        return _pick(rng.choice(node), rng)
    return "".join(_pick(part, rng) for part in node)


def regex(pattern: str) -> str:
    """A regular expression for the normalised phrasings of the pattern."""
    return _regex(parse(pattern))


def _regex(node: Node) -> str:
    if isinstance(node, str):
        return re.escape(normalise(node, strip=False)).replace(r"\ ", " *")
    if isinstance(node, tuple):
        return "(?:" + "|".join(_regex(part) for part in node) + ")"
    return "".join(_regex(part) for part in node)


def normalise(text: str, strip: bool = True) -> str:
    """Lower case, letters, digits, slashes and hyphens only: what is left when typing habits are taken away."""
    text = re.sub(r"[^a-z0-9/\-+]+", " ", text.lower().replace("'", ""))
    return " ".join(text.split()) if strip else text
