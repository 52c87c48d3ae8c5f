"""Draws a Field by its Kind."""

from __future__ import annotations

import math

import gradio as gr

from core.brand import NAME
from core.tasks import Field
from core.tasks.base import Value
from core.types import Kind

SLIDER_STEPS = 1000  # with more, a slider's single step is too fine to hit, and a number is typed instead


def component(field: Field) -> gr.components.Component:
    """The component that asks for `field`. What it takes is checked by the Field, whose sentences are the better ones."""
    common = {"label": field.label, "value": field.default}
    info = {"info": field.help or None}
    match field.kind:
        case Kind.CHAT:
            return composer(field)
        case Kind.TEXT:
            return gr.Textbox(**common, **info, lines=field.lines, max_lines=max(field.lines, 12))
        case Kind.NUMBER if _slides(field):
            return gr.Slider(**common, **info, minimum=field.minimum, maximum=field.maximum, step=field.step, buttons=[])
        case Kind.NUMBER if field.optional:  # an empty gr.Number sends 0
            return gr.Textbox(shown(field, field.default), label=field.label, **info, lines=1, max_lines=1, placeholder="Empty")
        case Kind.NUMBER:
            return gr.Number(**common, **info, step=field.step or 1)
        case Kind.CHOICE:
            return gr.Dropdown(**common, **info, choices=list(field.choices))
        case Kind.FLAG:
            return gr.Checkbox(**common, **info)
    raise ValueError(f"no component for {field.kind}")


def composer(field: Field) -> gr.Textbox:
    """Where a message is written: Enter sends, Shift+Enter starts a line, and nothing ever disables it."""
    return gr.Textbox(
        label=field.label, show_label=False, container=False, placeholder=f"Message {NAME}…", lines=1, max_lines=8,
        interactive=True, submit_btn="Send message", stop_btn=False, elem_id="composer", autofocus=False,
    )  # fmt: skip


def shown(field: Field, value: Value) -> Value:
    """`value` as the component of `field` shows it."""
    return ("" if value is None else str(value)) if field.kind is Kind.NUMBER and field.optional else value


def given(field: Field, value: Value) -> Value:
    """What the component of `field` holds, as the Field takes it."""
    return None if field.optional and isinstance(value, str) and not value.strip() else value


def _slides(field: Field) -> bool:
    span = field.maximum - field.minimum
    return not field.optional and bool(field.step) and math.isfinite(span) and span / (field.step or 1) <= SLIDER_STEPS
