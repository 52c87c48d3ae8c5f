from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.tasks import Field, chat_task, sampling_params
from core.types import Kind, Message, SamplingParams

TASK = chat_task(SamplingParams(), context=1024)
NUMBER = Field("size", Kind.NUMBER, "Size", default=1, minimum=0, maximum=10, step=1)


def test_defaults_fill_in_what_was_not_given() -> None:
    values = TASK.clean({"message": "hello"})
    assert sampling_params(values) == SamplingParams()
    assert values["system"] == ""


@pytest.mark.parametrize("value", [-1, 11, math.nan, math.inf, 10**400, "many", [], {}])
def test_a_number_out_of_bounds_is_a_sentence_at_its_field(value: object) -> None:
    with pytest.raises(BadInput, match=r"^Size must be .*\.$") as caught:
        NUMBER.clean(value)  # type: ignore[arg-type]
    assert caught.value.field == "size"


def test_a_whole_step_makes_an_int_and_an_optional_number_may_stay_empty() -> None:
    assert NUMBER.clean("3") == 3
    assert isinstance(NUMBER.clean(3.0), int)
    assert TASK.clean({"message": "x", "seed": None})["seed"] is None


@pytest.mark.parametrize("message", ["", "  \n ", None])
def test_an_empty_message_is_refused(message: str | None) -> None:
    with pytest.raises(BadInput, match="Type a message first"):
        TASK.clean({"message": message})


def test_a_ten_megabyte_prompt_is_refused_with_its_length() -> None:
    with pytest.raises(BadInput, match="10,000,000 characters long"):
        TASK.clean({"message": "x" * 10_000_000})


def test_an_unknown_value_is_refused_not_dropped() -> None:
    with pytest.raises(BadInput, match="no input named 'temprature'"):
        TASK.clean({"message": "x", "temprature": 0.1})


def test_choice_and_flag_take_only_their_own_values() -> None:
    choice = Field("tone", Kind.CHOICE, "Tone", default="warm", choices=("warm", "dry"))
    assert choice.clean(None) == "warm"
    with pytest.raises(BadInput, match="one of warm, dry"):
        choice.clean("loud")
    with pytest.raises(BadInput, match="on or off"):
        Field("loud", Kind.FLAG, "Loud", default=False).clean("yes")


@given(st.floats(), st.floats(0, 2))
def test_a_cleaned_number_is_always_within_its_bounds(value: float, temperature: float) -> None:
    assert TASK.clean({"message": "x", "temperature": temperature})["temperature"] == temperature
    try:
        cleaned = NUMBER.clean(value)
    except BadInput:
        return
    assert isinstance(cleaned, int)
    assert 0 <= cleaned <= 10


def test_a_turn_without_an_answer_is_left_out_of_the_prompt() -> None:
    """Chat templates of several model families refuse two questions in a row."""
    messages = TASK.prompt({"system": "Be brief.", "message": "three"}, [("one", "1"), ("two", "")])
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert TASK.prompt({"system": " ", "message": "hi"}, []) == [Message("user", "hi")]
