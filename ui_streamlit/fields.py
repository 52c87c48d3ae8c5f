"""Fields drawn by Kind. Their values live in the session state, so that a page can set them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import streamlit as st

from core.errors import BadInput
from core.tasks import Field, Values, choices
from core.tasks.base import Value
from core.types import Kind
from ui_streamlit.answer import plain

SLIDER_STEPS = 200  # with more, a slider does not stop at the value that is meant


def key(field: Field) -> str:
    return f"field-{field.name}"


def fill(fields: Iterable[Field], values: Values) -> None:
    """Set each Field to its value of `values`, or to its default where there is none that it can take."""
    for field in fields:
        if field.kind is Kind.CHOICE:  # one that is gone is told of below
            st.session_state[key(field)], gone = choices.fitting(field, values.get(field.name))
            _tell(field, gone)
            continue
        try:
            value = field.clean(values.get(field.name))
        except BadInput:  # kept from a model with other bounds
            value = field.default
        st.session_state[key(field)] = _number(field, value) if field.kind is Kind.NUMBER else value


def keep_to_what_there_is(fields: Iterable[Field]) -> None:
    """Choices change while a page is open: one that is gone falls back to the default, and says so at its Field."""
    for field in fields:
        if field.kind is Kind.CHOICE:
            st.session_state[key(field)], gone = choices.fitting(field, st.session_state[key(field)])
            if gone:
                _tell(field, gone)


def _tell(field: Field, sentence: str) -> None:
    """To be shown at the Field until something else is chosen."""
    st.session_state[f"said-{field.name}"] = st.session_state[key(field)], sentence


def _said(field: Field, value: Value) -> str:
    about, sentence = st.session_state.get(f"said-{field.name}", (None, ""))
    return sentence if about == value else ""


def draw(field: Field) -> Value:
    """The Field's component, in the current container; returns its value, which `fill` has set."""
    common: dict[str, Any] = {"label": field.label, "key": key(field), "help": field.help or None}
    value: Value
    match field.kind:
        case Kind.TEXT if field.lines > 1:
            value = st.text_area(**common, height=24 * field.lines + 40)
        case Kind.TEXT:
            value = st.text_input(**common)
        case Kind.NUMBER if _slides(field):
            value = st.slider(**common, **_bounds(field))
        case Kind.NUMBER if field.optional:
            value = st.number_input(**common, step=_number(field, field.step), value=None, placeholder="Empty")
        case Kind.NUMBER:
            # Without bounds: Streamlit would keep a number beyond them on the screen and give the page the one before.
            value = st.number_input(**common, step=_number(field, field.step))
        case Kind.CHOICE:
            value = st.selectbox(**common, options=field.choices)
            if said := _said(field, value):
                st.caption(plain(said))
        case Kind.FLAG:
            value = st.toggle(**common)
        case _:
            raise NotImplementedError(f"no component for {field.kind}")
    return value


def _slides(field: Field) -> bool:
    if field.optional or field.step is None or not math.isfinite(field.maximum - field.minimum):
        return False
    return (field.maximum - field.minimum) / field.step <= SLIDER_STEPS


def _bounds(field: Field) -> dict[str, Value]:
    """Streamlit wants the bounds, the step and the value as one type, and None for no bound."""
    limits = {"min_value": field.minimum, "max_value": field.maximum, "step": field.step}
    return {name: _number(field, limit) for name, limit in limits.items() if limit is not None and math.isfinite(limit)}


def _number(field: Field, value: Any) -> Value:
    if value is None:
        return None
    return int(value) if field.step is not None and float(field.step).is_integer() else float(value)
