"""The verdict: what the figures say, made by plain rules (rules.py). Nothing here is hoped for; each word hangs on a number.

The ceiling is what a pushed frontend misses, without the times that the control page misses by as much or nearly.
"""

from __future__ import annotations

from dataclasses import dataclass

from limits import rules
from limits.facts import AREAS, About, Facts
from limits.wording import listed


@dataclass(frozen=True, slots=True)
class Score:
    """How many figures with a threshold are good, how many could be taken, and how many could not."""

    good: int
    judged: int
    untaken: int


@dataclass(frozen=True, slots=True)
class Area:
    """`scores` by subject's id; `said` are the sentences, under their labels."""

    name: str
    about: str
    scores: dict[str, Score]
    said: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Verdict:
    headline: str
    second: str
    areas: list[Area]


def judge(facts: Facts) -> Verdict:
    return Verdict(headline(facts), effort_in_all(facts), [_area(facts, area) for area in AREAS])


def headline(facts: Facts) -> str:
    """Where the ceiling is: the areas in which a pushed frontend misses something, the one with the most misses first."""
    pushed = facts.of_effort("pushed")
    if not pushed:
        return "No pushed frontend was measured, so where the ceiling is was not seen."
    found = {area.lower(): (missed, judged) for area in AREAS for missed, judged in [_tally(facts, area, pushed)] if judged}
    bad = sorted((area for area in found if found[area][0]), key=lambda area: (-found[area][0], found[area][1]))
    clean = [area for area in found if not found[area][0]]
    who, several = listed([one.name for one in pushed]), len(pushed) > 1
    if not found:
        return "Nothing that has a threshold could be taken."
    if not bad:
        total = sum(judged for _, judged in found.values())
        return f"No ceiling was found: pushed, {who} {'meet' if several else 'meets'} all {total} figures that have a threshold."
    where = f"The ceiling is {listed(bad)}" + (f", not {listed(clean)}" if clean else "")
    if len(bad) == len(AREAS):
        where = f"Every part has a ceiling, {bad[0]} first"
    misses = [f"{found[area][0]} of {found[area][1]}{'' if number else ' figures'} on {area}" for number, area in enumerate(bad)]
    none = f", and none of {sum(found[area][1] for area in clean)} on {listed(clean)}" if clean else ""
    pushing = f"pushed as far as {'they go' if several else 'it goes'}"
    return f"{where}: {pushing}, {who} {'miss' if several else 'misses'} {listed(misses)}{none}."


def effort_in_all(facts: Facts) -> str:
    """What the way from stock to pushed mends and breaks, over all frontends."""
    pairs = [(stock, pushed) for stock, pushed in facts.pairs if stock and pushed]
    missed = sum(len(facts.misses(facts.metrics, stock)) for stock, _ in pairs)
    won, lost = (sum(len(facts.turned(facts.metrics, *pair, good)) for pair in pairs) for good in (True, False))
    if not pairs or not missed:
        return "The stock apps miss no threshold." if pairs else ""
    also = f", and makes {lost} that were good miss theirs" if lost else ""
    return f"Effort mends {won} of the {missed} misses that the stock apps have{also}."


def _tally(facts: Facts, area: str, pushed: list[About]) -> tuple[int, int]:
    """How many figures are missed, and of how many, over all of `pushed`."""
    metrics = facts.metrics_of(area)
    return sum(len(facts.misses(metrics, one)) for one in pushed), sum(facts.judged(metrics, one) for one in pushed)


def _area(facts: Facts, area: str) -> Area:
    metrics = facts.metrics_of(area)
    results = {one.id: [len(facts.with_result(metrics, one, good)) for good in (True, False, None)] for one in facts.subjects}
    scores = {id: Score(good, good + bad, untaken) for id, (good, bad, untaken) in results.items()}
    said = {
        "Good": [rules.good_everywhere(facts, metrics)],
        "Fails in stock": [rules.stock_misses(facts, metrics)],
        "Effort buys": [rules.effort_buys(facts, metrics, *pair) for pair in facts.pairs],
        "The ceiling": [*(rules.ceiling(facts, metrics, pushed) for _, pushed in facts.pairs), rules.excused(facts, metrics)],
        "The story": [rules.story(facts, *pair) for pair in facts.pairs] if area == "Behaviour" else [],
        "Told, not judged": [rules.told(facts, metric) for metric in metrics],
        "Not taken": [rules.untaken(facts, metrics)],
    }
    kept = [(label, found) for label, sentences in said.items() if (found := [one for one in sentences if one])]
    return Area(area, AREAS[area][0], scores, kept)
