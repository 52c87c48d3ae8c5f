"""Gradio draws its components once; choices that come later, change or go are shown all the same."""

from __future__ import annotations

from typing import Any

import pytest

from core.tasks import Field
from core.tasks.choices import ChoiceGone
from core.types import Kind

LOUD = Field("loud", Kind.NUMBER, "Loud", default=5, minimum=0, maximum=10, step=1)


def tone(*choices: str) -> Field:
    return Field("tone", Kind.CHOICE, "Tone", "How it sounds.", default=choices[0], choices=choices)


class Drawn:
    """A panel as it was drawn for `fields`, and those that there are `now`."""

    def __init__(self, *fields: Field) -> None:
        from ui_gradio.panel import Panel

        self.now = list(fields)
        self.panel = Panel(lambda: self.now)
        self.panel.draw(first=1)

    def shown(self, used: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """What is shown of each choice, by its label."""
        updates = [one for one in self.panel.show(used).values() if isinstance(one, dict)]
        return {one["label"]: one for one in updates if one.get("visible")}

    def given(self, **values: Any) -> list[Any]:
        """What the page sends: a value for each component, None for those that are not shown."""
        given: list[Any] = [None] * len(self.panel.components)
        for name, value in values.items():
            given[self.panel._places[name]] = value
        return given


def test_a_choice_that_comes_later_is_shown_and_sent() -> None:
    drawn = Drawn(LOUD)
    assert drawn.shown() == {}
    drawn.now = [tone("dry", "warm"), LOUD]
    shown = drawn.shown()["Tone"]
    assert (shown["choices"], shown["value"], shown["info"]) == (["dry", "warm"], "dry", "How it sounds.")
    assert drawn.panel.values(drawn.given(tone="warm", loud=3)) == {"tone": "warm", "loud": 3}
    assert drawn.panel.values(drawn.given(loud=3)) == {"loud": 3}, "a page from before it came"


@pytest.mark.parametrize("early", [True, False])
def test_choices_that_change_are_shown_anew_and_one_that_is_gone_is_said(early: bool) -> None:
    drawn = Drawn(tone("dry", "warm"), LOUD) if early else Drawn(LOUD)
    drawn.now = [tone("dry", "warm"), LOUD]
    drawn.shown()
    drawn.now = [tone("dry", "harsh"), LOUD]
    shown = drawn.shown({"tone": "warm"})["Tone"]
    assert (shown["choices"], shown["value"]) == (["dry", "harsh"], "dry")
    assert shown["info"] == "warm is not there any more. dry is chosen in its place."
    with pytest.raises(ChoiceGone):
        drawn.panel.values(drawn.given(tone="warm", loud=3))
    after = next(iter(drawn.panel.chosen(drawn.given(tone="warm", loud=3)).values()))
    assert (after["value"], after["info"]) == (shown["value"], shown["info"]), "the field says so too"
    drawn.now = [LOUD]
    assert drawn.shown({"tone": "warm"}) == {}
    assert drawn.panel.values(drawn.given(tone="harsh", loud=3)) == {"tone": "harsh", "loud": 3}, "for the service to judge"
    drawn.now = [tone("dry", "warm"), LOUD]
    assert drawn.shown({"tone": "warm"})["Tone"]["value"] == "warm", "it came back"


def test_what_a_model_was_called_leads_nowhere() -> None:
    """Gradio makes a link of [text](address) in the line below a field."""
    drawn = Drawn(tone("![x](http://evil.example/a.png)", "dry"))
    drawn.now = [tone("dry", "harsh")]
    info = drawn.shown({"tone": "![x](http://evil.example/a.png)"})["Tone"]["info"]
    assert "](" not in info
    assert info.replace("\N{WORD JOINER}", "").startswith("![x](http://evil.example/a.png) is not there any more.")


def test_each_choice_keeps_its_component_whatever_else_comes_and_goes() -> None:
    drawn = Drawn(LOUD)
    size = Field("size", Kind.CHOICE, "Size", default="s", choices=("s", "m"))
    drawn.now = [tone("dry", "warm"), LOUD]
    drawn.shown()
    asked = drawn.given(tone="warm", loud=1)
    drawn.now = [size, tone("dry", "warm"), LOUD]
    assert set(drawn.shown()) == {"Tone", "Size"}
    assert drawn.panel.values(asked) == {"tone": "warm", "loud": 1}, "a page from before takes no other field's value"


def test_more_choices_than_there_are_components_for_leave_the_page_alive() -> None:
    drawn = Drawn(LOUD)
    drawn.now = [LOUD, *(Field(f"f{n}", Kind.CHOICE, f"F{n}", default="a", choices=("a", "b")) for n in range(9))]
    assert len(drawn.shown()) == 4
    assert drawn.panel.values(drawn.given(loud=2)) == {"loud": 2}
