"""Choices come and go while a page is open: a model is loaded, another is unloaded."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import BadInput
from core.tasks.base import Field, Value, Values
from core.types import Kind


class ChoiceGone(BadInput):
    """What was chosen is not there any more; nothing is answered by another without a word."""

    def __init__(self, field: Field, value: Value) -> None:
        super().__init__(
            field.name,
            f"{value} is not there any more, so another {field.label.lower()} is chosen now. Send it again if that is all right.",
        )


def current(values: Values, now: Mapping[str, Field]) -> dict[str, Value]:
    """`values` as a page gave them, for a Task whose Fields are `now` these. Raises ChoiceGone.

    A choice that was not made is left out. One whose Field is gone is kept, for the service to judge.
    """
    kept: dict[str, Value] = {}
    for name, value in values.items():
        field = now.get(name)
        if value is None and (field is None or field.kind is Kind.CHOICE):
            continue
        if field and field.kind is Kind.CHOICE and value not in field.choices:
            raise ChoiceGone(field, value)
        kept[name] = value
    return kept


def fitting(field: Field, value: Value) -> tuple[Value, str]:
    """What a page shows of a choice that was made once: itself, or the default with a sentence that says so at the Field."""
    if value is None or value in field.choices:
        return field.default if value is None else value, ""
    return field.default, f"{value} is not there any more. {field.default} is chosen in its place."
