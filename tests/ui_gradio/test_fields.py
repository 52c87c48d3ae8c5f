"""Each Kind has its component, and what it holds goes back to the Field as the Field takes it."""

from __future__ import annotations

from typing import Any

import pytest

from core.brand import NAME
from core.tasks import Field
from core.types import Kind


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (Field("a", Kind.TEXT, "A", lines=3, default=""), "Textbox"),
        (Field("a", Kind.CHAT, "A"), "Textbox"),
        (Field("a", Kind.NUMBER, "A", default=0.5, minimum=0, maximum=2, step=0.05), "Slider"),
        (Field("a", Kind.NUMBER, "A", default=5, minimum=1, maximum=100_000, step=1), "Number"),
        (Field("a", Kind.NUMBER, "A", default=5), "Number"),
        (Field("a", Kind.NUMBER, "A", optional=True, minimum=0, maximum=9, step=1), "Textbox"),
        (Field("a", Kind.CHOICE, "A", choices=("x", "y"), default="x"), "Dropdown"),
        (Field("a", Kind.FLAG, "A", default=True), "Checkbox"),
    ],
)
def test_kind_decides_the_component(field: Field, name: str) -> None:
    from ui_gradio.fields import component, shown

    drawn = component(field)
    assert type(drawn).__name__ == name
    assert drawn.label == "A"
    if field.kind is not Kind.CHAT:
        assert drawn.value == shown(field, field.default)


def test_a_kind_without_a_component_is_an_error_at_start() -> None:
    from ui_gradio.fields import component

    with pytest.raises(ValueError, match="no component"):
        component(Field("a", Kind.TEXT_STREAM, "A"))


def test_the_composer_is_never_disabled_and_its_buttons_have_names() -> None:
    from ui_gradio.fields import component

    composer: Any = component(Field("a", Kind.CHAT, "A"))
    assert composer.interactive is True
    assert composer.submit_btn == "Send message"
    assert composer.placeholder == f"Message {NAME}…"


@pytest.mark.parametrize(("value", "box"), [(None, ""), (7, "7")])
def test_an_empty_optional_number_is_none_both_ways(value: int | None, box: str) -> None:
    """An empty gr.Number sends 0, which would fix the seed of every answer."""
    from ui_gradio.fields import given, shown

    seed = Field("seed", Kind.NUMBER, "Seed", minimum=0, maximum=9, step=1, optional=True)
    assert shown(seed, value) == box
    assert seed.clean(given(seed, box)) == value
