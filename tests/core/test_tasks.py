from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from core.tasks import Field, chat_task, sampling_params, text_of
from core.tasks.base import items
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


def test_stop_strings_are_written_one_a_line() -> None:
    values = TASK.clean({"message": "x", "stop": "END\n\n  \n\\n\\n\nUser: \n\\begin \\\\n"})
    assert sampling_params(values).stop == ("END", "\n\n", "User: ", "\\begin \\n")
    assert values["stop"] == "END\n\\n\\n\nUser: \n\\begin \\\\n", "shown again as it was typed, without the blank lines"
    assert sampling_params(TASK.clean({"message": "x", "stop": " \n"})).stop == ()


@pytest.mark.parametrize(
    ("stop", "sentence"),
    [
        ("a\nb\nc\nd\ne", "Stop strings: there are 5, and there may be 4. Leave some out."),
        ("fine\n" + "x" * 101, "Stop strings: one is 101 characters long and may have 100. Shorten it."),
    ],
)
def test_too_many_or_too_long_stop_strings_are_a_sentence_at_the_field(stop: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        TASK.clean({"message": "x", "stop": stop})
    assert (caught.value.field, caught.value.message) == ("stop", sentence)
    TASK.clean({"message": "x", "stop": "a\nb\nc\n" + "\\n" * 100})


@given(st.lists(st.text("\\n\n\r ab", min_size=1).filter(lambda text: text.replace("\n", "n").strip())))
def test_a_list_comes_back_from_its_text_as_it_was(given_items: list[str]) -> None:
    assert items(text_of(given_items)) == tuple(given_items)


def test_a_run_of_an_earlier_version_lacks_the_newer_settings() -> None:
    old = {"message": "x", "system": "", "temperature": 0.2, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0,
           "max_tokens": 5, "seed": None}  # fmt: skip
    params = sampling_params(TASK.clean(old))
    assert (params.temperature, params.min_p, params.stop) == (0.2, 0.0, ())


def test_a_models_own_stop_strings_and_min_p_are_the_defaults() -> None:
    own = SamplingParams(min_p=0.05, stop=("\n\n", "a\\n"))
    assert sampling_params(chat_task(own, context=1024).clean({"message": "x"})) == own
