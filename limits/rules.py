"""The verdict's rules: each makes a sentence of an area's figures, or an empty one where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence

from limits.facts import About, Facts
from limits.metrics import Metric
from limits.wording import count, listed, name, quantity, short, threshold, title

TOLD = ("ready", "brand", "brand-api", "wire-300", "memory-session", "lines")  # without a threshold, but said in the verdict


def good_everywhere(facts: Facts, metrics: Sequence[Metric]) -> str:
    subjects = [one for one in facts.subjects if one.effort != "control"]
    results = [(facts.with_result(metrics, who, True), facts.with_result(metrics, who, False)) for who in subjects]
    judged = [one for one in metrics if any(one in good + bad for good, bad in results)]
    good = [one for one in judged if all(one in passed for passed, _ in results)]
    if not judged:
        return ""
    if len(good) == len(judged):
        first = (
            "The one figure with a threshold passes" if len(judged) == 1 else f"All {len(judged)} figures with a threshold pass"
        )
        return f"{first} in every frontend, stock and pushed."
    if not good:
        first = "The one figure with a threshold does not pass" if len(judged) == 1 else f"None of {len(judged)} figures passes"
        return f"{first} in every frontend, stock and pushed."
    return f"{len(good)} of {len(judged)} pass in every frontend, stock and pushed: {listed([name(one) for one in good])}."


def stock_misses(facts: Facts, metrics: Sequence[Metric]) -> str:
    said = [
        f"{one.name} misses {len(facts.misses(metrics, one)) or 'none'} of {facts.judged(metrics, one)}"
        for one in facts.of_effort("stock") if facts.judged(metrics, one)
    ]  # fmt: skip
    return "; ".join(said) + "." if said else ""


def effort_buys(facts: Facts, metrics: Sequence[Metric], stock: About | None, pushed: About | None) -> str:
    if not stock or not pushed or not (missed := len(facts.misses(metrics, stock))):
        return ""
    won, lost = (facts.turned(metrics, stock, pushed, good) for good in (True, False))
    changes = [f"{name(one)}{_change(facts, one, stock, pushed)}" for one in won]
    said = f"{len(won)} of {count(missed, 'miss')} mended: {listed(changes, 3)}" if won else "no miss is mended"
    worse = f". It costs {listed([name(one) + _change(facts, one, stock, pushed) for one in lost], 3)}" if lost else ""
    return f"{pushed.name}: {said}{worse}."


def ceiling(facts: Facts, metrics: Sequence[Metric], pushed: About | None) -> str:
    """What a pushed frontend misses, with how far; what the control page misses too is in another sentence."""
    missed = facts.misses(metrics, pushed) if pushed else []
    judged = facts.judged(metrics, pushed) if pushed else 0
    if not pushed or not judged:
        return ""
    if not missed:
        return f"{pushed.name}: none found. It meets {f'all {judged}' if judged > 1 else 'the one'}."
    left = [f"{name(one)}{_missed(facts, one, pushed)}" for one in missed]
    return f"{pushed.name} still misses {len(missed)} of {judged}: {listed(left, 4)}."


def excused(facts: Facts, metrics: Sequence[Metric]) -> str:
    found = dict.fromkeys(
        name(metric) for one in facts.subjects if one.effort != "control" for metric in facts.excused(metrics, one)
    )
    if not found:
        return ""
    return f"Held against nobody, since the control page misses it by as much or nearly: {listed([*found])}."


def story(facts: Facts, stock: About | None, pushed: About | None) -> str:
    """How many steps of the scenario each passes in every round."""
    said = []
    for one in filter(None, (stock, pushed)):
        played = [by[one.id] for by in facts.steps.values() if one.id in by]
        failed = [f"“{short(step['title'])}”" for step in played if not all(step["passed"])]
        left = f", all but {listed(failed, 4)}" if one is pushed and 0 < len(failed) < len(played) else ""
        said += [f"{one.effort} {len(played) - len(failed)}{left}"] if played else []
    frontend = stock or pushed
    if not frontend or not said:
        return ""
    return f"{frontend.name}, of {count(len(facts.steps), 'step')} passed in every round: {'; '.join(said)}."


def told(facts: Facts, metric: Metric) -> str:
    """What has no threshold, stock and pushed."""
    if metric.id not in TOLD or metric.good is not None:
        return ""
    said = []
    for stock, pushed in facts.pairs:
        values = [
            quantity(figure.median, metric.unit)
            for one in (stock, pushed) if one and (figure := facts.figure(metric, one)) and figure.median is not None
        ]  # fmt: skip
        if values and (one := stock or pushed):
            said.append(f"{one.name} {' → '.join(values)}")
    return f"{title(metric)}: {', '.join(said)}." if said else ""


def untaken(facts: Facts, metrics: Sequence[Metric]) -> str:
    amount = sum(len(facts.with_result(metrics, one, None)) for one in facts.subjects)
    return f"{count(amount, 'figure')} with a threshold could not be taken; the table says why." if amount else ""


def _change(facts: Facts, metric: Metric, stock: About, pushed: About) -> str:
    before, after = (facts.figure(metric, one) for one in (stock, pushed))
    if metric.unit == "pass" or not before or not after or before.median is None or after.median is None:
        return ""
    return f" ({quantity(before.median, metric.unit)} → {quantity(after.median, metric.unit)})"


def _missed(facts: Facts, metric: Metric, subject: About) -> str:
    figure = facts.figure(metric, subject)
    if metric.unit == "pass" or not figure or figure.median is None:
        return ""
    return f" ({quantity(figure.median, metric.unit)}; good is {threshold(metric)})"
