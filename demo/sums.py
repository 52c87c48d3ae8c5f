"""Sums and differences as the guide writes them: column by column, so that each step is one a tiny model can do."""

import random

LIMIT = 999
COLUMNS = ("ones", "tens", "hundreds")

Phrases = dict[str, list[str]]


def held_out(a: int, b: int) -> bool:
    """One pair in ten never occurs in the corpus, in either order, so that the evaluation can ask for sums never seen."""
    low, high = sorted((a, b))
    return (low * 7919 + high * 104729) % 10 == 7


def add(a: int, b: int) -> str:
    """The answer to `a + b`: said again first, so that the columns look back to one place however it was asked."""
    return "\n".join([f"{a} + {b}:", "", *_add_lines(a, b), "", f"**{a} + {b} = {a + b}**"])


def subtract(a: int, b: int) -> str:
    """The answer to `a - b`; below zero the smaller number is taken from the larger."""
    result = f"**{a} - {b} = {a - b}**"
    if a >= b:
        return "\n".join([f"{a} - {b}:", "", *_subtract_lines(a, b), "", result])
    return "\n".join([f"{a} - {b} is below zero, so {b} - {a}:", "", *_subtract_lines(b, a), "", result])


def _digits(number: int, width: int) -> list[int]:
    return [number // 10**place % 10 for place in range(width)]


def _add_lines(a: int, b: int) -> list[str]:
    width = len(str(max(a, b)))
    lines, carry = [], 0
    for place, (x, y) in enumerate(zip(_digits(a, width), _digits(b, width), strict=True)):
        total = x + y + carry
        line = f"- {COLUMNS[place]}: {x} + {y}{' + 1' if carry else ''} = {total}"
        carry = total // 10
        lines.append(line + (", carry 1" if carry and place < width - 1 else ""))
    return lines


def _subtract_lines(a: int, b: int) -> list[str]:
    width = len(str(a))
    lines, borrow = [], 0
    for place, (x, y) in enumerate(zip(_digits(a, width), _digits(b, width), strict=True)):
        lend = x - y - borrow < 0
        left = x + 10 * lend - y - borrow
        lines.append(
            f"- {COLUMNS[place]}: {x + 10 * lend} - {y}{' - 1' if borrow else ''} = {left}{', borrow 1' if lend else ''}"
        )
        borrow = int(lend)
    return lines


def number(rng: random.Random) -> int:
    """A number up to the limit, short ones more often than chance would have them."""
    return rng.randrange(10 ** rng.choice((1, 2, 2, 3, 3, 3, 3)))


def pair(rng: random.Random, *, test: bool = False) -> tuple[int, int]:
    """Two numbers that the corpus may use, or with `test` two that it never does."""
    while True:
        a, b = number(rng), number(rng)
        if held_out(a, b) == test:
            return a, b


def question(phrases: Phrases, rng: random.Random) -> tuple[str, str]:
    """A sum or difference in words, and its answer."""
    a, b = pair(rng)
    thing = rng.choice(phrases["objects"])
    if rng.random() < 0.62:
        return rng.choice(phrases["add"][: 6 if rng.random() < 0.3 else None]).format(a=a, b=b, x=thing), add(a, b)
    if a < b and rng.random() < 0.75:
        a, b = b, a
    return rng.choice(phrases["subtract"]).format(a=a, b=b, x=thing), subtract(a, b)


def other(phrases: Phrases, rng: random.Random) -> str:
    """Arithmetic that the guide was not taught."""
    a, b, c = number(rng), number(rng), number(rng)
    big = rng.randrange(1000, 10 ** rng.choice((4, 4, 5, 6)))
    return rng.choice(phrases["other_sums"]).format(a=a, b=b, c=c, big=big)
