from __future__ import annotations

import collections.abc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from core.engine.text import ChatText, StopStrings
from core.errors import PromptTooLong, UserError
from core.types import Message

TEXT = st.text("ab\n", max_size=12)
CONTEXT = 256


@pytest.fixture
def text(chat_model: Path) -> ChatText:
    return ChatText(AutoTokenizer.from_pretrained(chat_model), CONTEXT)


def test_the_oldest_turns_are_dropped_first_and_the_system_prompt_stays(text: ChatText) -> None:
    turns = [Message("system", "s"), *(Message(role, "word " * 9) for _ in range(6) for role in ("user", "assistant"))]
    ids = text.encode([*turns, Message("user", "last question")], room=64)
    said = text._tokenizer.decode(ids)
    assert len(ids) <= CONTEXT - 64
    assert "<|system|>s" in said
    assert "last question" in said
    assert said.count("<|user|>") == said.count("<|assistant|>") < 7


def test_as_many_turns_are_kept_as_fit_and_a_long_conversation_takes_few_tries(
    text: ChatText, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    render = text._render

    def counted(messages: collections.abc.Sequence[Message]) -> list[int]:
        tries.append(len(messages))
        return render(messages)

    monkeypatch.setattr(text, "_render", counted)
    turns = [Message(role, f"word {index}") for index in range(300) for role in ("user", "assistant")]
    ids = text.encode([*turns, Message("user", "last")], room=64)
    kept = text._tokenizer.decode(ids).count("<|user|>")
    assert len(tries) < 12
    assert len(render([*turns[-2 * kept :], Message("user", "last")])) > CONTEXT - 64, "one more does not fit"


def test_a_template_that_refuses_says_so(text: ChatText, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    monkeypatch.setattr(text._tokenizer, "chat_template", refusing)
    with pytest.raises(UserError, match="System role not supported"):
        text.encode([Message("system", "x"), Message("user", "hi")], room=64)


def test_a_message_that_alone_is_too_long_says_by_how_much(text: ChatText) -> None:
    with pytest.raises(PromptTooLong, match="tokens long and the model reads") as caught:
        text.encode([Message("user", "word " * 2000)], room=64)
    assert caught.value.limit == CONTEXT - 64


def test_characters_of_several_tokens_are_never_cut(text: ChatText) -> None:
    said = "naïve 😀 漢字"
    decode = text.decoder()
    pieces = [decode(token) for token in text._tokenizer.encode(said, add_special_tokens=False)]
    assert "".join(pieces) == said
    assert "\ufffd" not in "".join(pieces)


def shown(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    watch = StopStrings(stops)
    text = "".join(watch.push(piece) for piece in pieces)
    return text + watch.rest(), watch.found


def test_an_answer_ends_before_the_first_stop_string_however_it_arrives() -> None:
    assert shown(["Hel", "lo\n", "\nUs", "er: more"], ["\nUser:"]) == ("Hello\n", True)
    assert shown(["a END b STOP"], ["STOP", "END"]) == ("a ", True)


def test_what_only_begins_like_one_is_shown_in_the_end() -> None:
    assert shown(["1, 2, ST"], ["STOP"]) == ("1, 2, ST", False)
    assert shown(["a\n", "b"], ["\n\n"]) == ("a\nb", False)


def test_what_may_begin_a_stop_string_is_held_back_and_no_more() -> None:
    watch = StopStrings(["</s>"])
    assert watch.push("text <") == "text "
    assert watch.push("/") == ""
    assert watch.push("b>") == "</b>"


def test_nothing_is_shown_after_it() -> None:
    watch = StopStrings(["."])
    assert [watch.push("one. two"), watch.push(" three"), watch.rest()] == ["one", "", ""]


@settings(deadline=None)
@given(st.lists(TEXT, max_size=8), st.lists(TEXT, max_size=3))
def test_pieces_do_not_matter(pieces: list[str], stops: list[str]) -> None:
    whole, stops = "".join(pieces), [stop for stop in stops if stop]
    places = [whole.find(stop) for stop in stops if stop in whole]
    text, found = shown(pieces, stops)
    assert found == bool(places)
    # The stop string that ends first ends the answer; another that begins before it may only end later.
    first_end = min((whole.find(stop) + len(stop) for stop in stops if stop in whole), default=len(whole))
    assert whole.startswith(text)
    assert text == whole if not places else len(text) < first_end
