"""The settings beside the chat. Gradio draws components once, while choices come and go as long as the server runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import gradio as gr

from core.tasks import Field, Values, choices
from core.types import Kind
from ui_gradio import fields, messages

SPARE = 4  # components that are drawn unseen, for choices that there is nothing to choose of yet

Update = dict[Any, Any]


class Panel:
    """Fields and the components that hold them. `now()` gives the Fields as they are at this moment."""

    def __init__(self, now: Callable[[], Sequence[Field]]) -> None:
        self._now, self._lock = now, threading.Lock()
        self._seen: dict[str, Field] = {}  # each Field as it was last
        self._places: dict[str, int] = {}  # which component holds a Field; it stays that one's for good
        self._free: list[int] = []
        self.components: list[Any] = []

    def draw(self, first: int) -> None:
        """Draw all Fields, and after the `first` of them the components that are spare."""
        drawn = list(self._now())
        parts = [fields.component(field) for field in drawn[:first]]
        spare = [gr.Dropdown(choices=[], visible=False) for _ in range(SPARE)]
        parts += [fields.component(field) for field in drawn[first:]]
        self._seen = {field.name: field for field in drawn}
        self._places = {field.name: place for place, field in enumerate(drawn)}
        self._free = [len(drawn) + place for place in range(SPARE)]
        self.components = [*parts, *spare]

    @property
    def choices(self) -> list[Any]:
        return [component for component in self.components if isinstance(component, gr.Dropdown)]

    def show(self, used: Values | None = None) -> Update:
        """What there is to choose now, and the values `used` in a conversation, with a sentence where one is gone."""
        return {component: self._shown(field, used) for component, field in self._held()}

    def values(self, given: Iterable[Any]) -> Values:
        """What the components hold, as the Task takes it; raises ChoiceGone."""
        now = self._look()
        return choices.current(self._held_values(given), now)

    def chosen(self, given: Iterable[Any]) -> Update:
        """The choices that were made, among those that there are now, with a sentence where one is gone."""
        values = self._held_values(given)
        return {component: self._shown(field, values) for component, field in self._held() if component in self.choices}

    def _held_values(self, given: Iterable[Any]) -> dict[str, Any]:
        values = list(given)
        return {name: fields.given(self._seen[name], values[place]) for name, place in self._places.items()}

    def _shown(self, field: Field | None, used: Values | None) -> Any:
        if field is None:
            return gr.update(visible=False, value=None)
        if field.kind is not Kind.CHOICE:
            if used is None:
                return gr.skip()
            return fields.shown(field, used.get(field.name, field.default))  # a run of an earlier version may lack it
        value, gone = choices.fitting(field, (used or {}).get(field.name))
        # It names what somebody called a model, and Gradio makes links and emphasis of it, which nothing can escape.
        info = gone.replace("](", f"]{messages.JOINER}(") or field.help or None
        return gr.update(choices=list(field.choices), value=value, label=field.label, info=info, visible=True)

    def _held(self) -> Iterator[tuple[Any, Field | None]]:
        """Each component with the Field that it holds now."""
        now = self._look()
        names = {place: name for name, place in self._places.items()}
        for place, component in enumerate(self.components):
            yield component, now.get(names.get(place, ""))

    def _look(self) -> dict[str, Field]:
        """The Fields as they are now, by name; a choice that is new gets a component, as long as one is free."""
        now = {field.name: field for field in self._now()}
        with self._lock:
            for name, field in now.items():
                if name not in self._places and field.kind is Kind.CHOICE and self._free:
                    self._places[name] = self._free.pop(0)
            self._seen |= {name: field for name, field in now.items() if name in self._places}
        return now
