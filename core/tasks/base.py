"""Task and Field: a description that every frontend can draw and the service can check input against."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from core.errors import BadInput
from core.types import Kind, Message, SamplingParams

Value = str | float | int | bool | None
Values = Mapping[str, Value]
Turn = tuple[str, str]  # what was asked earlier in the conversation, and what was answered ("" if nothing)
ESCAPED = re.compile(r"\\([n\\])")
Prompt = Callable[[Values, Sequence[Turn]], Sequence[Message]]


@dataclass(frozen=True, slots=True)
class Field:
    """One typed value that a person gives. `help` is a sentence shown beside it.

    `minimum`, `maximum`, `step` bound a number (a whole `step` makes it an int); `choices` lists a choice's values;
    `lines` sizes a text; `max_length` bounds a text or a chat message in characters; an `optional` number may be None. A text
    with `max_items` is a list, one item a line (`items` reads it): so many at most, of `max_length` characters each.
    """

    name: str
    kind: Kind
    label: str
    help: str = ""
    default: Value = None
    minimum: float = -math.inf
    maximum: float = math.inf
    step: float | None = None
    choices: tuple[str, ...] = ()
    lines: int = 1
    max_length: int = 100_000
    max_items: int = 0
    optional: bool = False

    def clean(self, value: Value) -> Value:
        """`value` as this Field's type, the default for None; raises BadInput with a sentence for the reader."""
        if value is None:
            value = self.default
        match self.kind:
            case Kind.NUMBER:
                return self._clean_number(value)
            case Kind.TEXT | Kind.CHAT:
                return self._clean_text(value)
            case Kind.CHOICE if value not in self.choices:
                raise BadInput(self.name, f"{self.label} must be one of {', '.join(self.choices)}.")
            case Kind.FLAG if not isinstance(value, bool):
                raise BadInput(self.name, f"{self.label} must be on or off.")
        return value

    def _clean_number(self, value: Value) -> Value:
        if value is None and self.optional:
            return None
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise BadInput(self.name, f"{self.label} must be a number.") from None
        if not self.minimum <= number <= self.maximum:  # also refuses nan
            raise BadInput(self.name, f"{self.label} must be between {self.minimum:g} and {self.maximum:g}.")
        if self.step is not None and float(self.step).is_integer():
            return int(number)
        return number

    def _clean_text(self, value: Value) -> str:
        # What no database takes: NUL (PostgreSQL) and halves of a character that a browser cut in two.
        text = ("" if value is None else str(value)).replace("\0", "").encode("utf-8", "ignore").decode()
        if self.max_items:
            return self._clean_items(text)
        if len(text) > self.max_length:
            raise BadInput(
                self.name, f"{self.label} is {len(text):,} characters long and may have {self.max_length:,}. Shorten it."
            )
        if self.kind is Kind.CHAT and not text.strip():
            raise BadInput(self.name, "Type a message first.")
        return text

    def _clean_items(self, text: str) -> str:
        found = items(text)
        if len(found) > self.max_items:
            raise BadInput(
                self.name, f"{self.label}: there are {len(found):,}, and there may be {self.max_items}. Leave some out."
            )
        if (longest := max(map(len, found), default=0)) > self.max_length:
            raise BadInput(
                self.name, f"{self.label}: one is {longest:,} characters long and may have {self.max_length}. Shorten it."
            )
        return "\n".join(_lines(text))


@dataclass(frozen=True, slots=True)
class Task:
    """Something a model can be asked. `inputs` are what is asked, `params` how; `examples` are values of the first input.

    `prompt(values, turns)` makes the messages for the model from the cleaned values and the conversation so far.
    """

    name: str
    title: str
    inputs: tuple[Field, ...]
    params: tuple[Field, ...]
    output: Kind
    prompt: Prompt
    examples: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.inputs + self.params

    def clean(self, values: Values) -> dict[str, Value]:
        """All of this Task's values, checked, defaults filled in; raises BadInput for the first that does not fit."""
        if unknown := set(values) - {field.name for field in self.fields}:
            raise BadInput(min(unknown), f"{self.title} has no input named {min(unknown)!r}.")
        return {field.name: field.clean(values.get(field.name)) for field in self.fields}


def items(text: str) -> tuple[str, ...]:
    r"""The items of a list that is written one a line. Blank lines are none; in an item, `\n` is a line break and `\\` a `\`."""
    return tuple(ESCAPED.sub(lambda found: "\n" if found[1] == "n" else "\\", line) for line in _lines(text))


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def text_of(found: Sequence[str]) -> str:
    """The text that `items` reads as `found`, none of which is blank."""
    return "\n".join(item.replace("\\", "\\\\").replace("\n", "\\n") for item in found)


def sampling_params(values: Values) -> SamplingParams:
    """SamplingParams from those of a Task's cleaned values that bear their names; `stop` is a list, written one a line."""
    given: dict[str, object] = {field.name: values[field.name] for field in fields(SamplingParams) if field.name in values}
    if "stop" in given:
        given["stop"] = items(str(given["stop"]))
    return SamplingParams(**given)  # type: ignore[arg-type]
