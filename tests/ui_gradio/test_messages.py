"""What a person typed is shown as typed; what a model wrote becomes Markdown, and never HTML."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from core.store import Run
from core.types import Queued, Usage
from ui_gradio import messages


def run(**changes: object) -> Run:
    return Run("r", "c", "u", "chat", "m", {"message": "hi"}, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["*a* <b>x</b> $1 [x](y) # `z`", "1. one\n    indented", "&nbsp;&amp;", "\\(x\\)"])
def test_typed_text_comes_back_as_it_was(text: str) -> None:
    shown = messages.literal(text)
    assert html.unescape(shown).replace("\xa0", " ") == html.unescape(text) if "&" not in text else "&#38;nbsp" in shown
    assert not set("<>*`$[]\\") & set(shown)


@pytest.mark.parametrize(
    "text",
    [
        '<img src=x onerror="alert(1)">',
        "<script>alert(1)</script>",
        "a `b` <i>c</i>",
        "$<img src=x>$",
        "\\(<img src=x>\\)",
        "`$$<img src=x>$$`",
        "```\n$$<img src=x>$$\n```",
        "``<b>",
        "```\ncode\n```\n<b>after</b>",
        "```<img src=x>\ncode\n```",
        "\\`<img src=x>\\`",
        "a `\nb ` <img src=x> `",
        "`a\n- <img src=x> `",
        "| `a | <img src=x> ` |",
        "`a <img src=x> \\(`\\)",
        "\\(\n```\n\\)\n<img src=x>\n```",
        "1. x\n   ```\n   code\n<img src=x>\n",
        "```\ncode\n    ```\n<img src=x>\n```\n<img src=x>",
    ],
)
def test_no_tag_of_a_model_survives(text: str) -> None:
    """Nor where this module takes for code what the browser's parser does not."""
    assert not re.search(r"<[A-Za-z/!?]", messages.answer(text))


@pytest.mark.parametrize("code", ["`a <b> c`", "```html\n<b>x</b>\n```", "- item\n  ```\n  a < b\n  ```", "```\nstill <open>"])
def test_code_stays_as_it_is(code: str) -> None:
    assert messages.answer(code).replace(messages.JOINER, "") == code


def test_images_and_diagrams_are_not_loaded() -> None:
    for text in ("![x](http://elsewhere.test/x.png)", "\\`![x](http://elsewhere.test/x.png)\\`"):
        assert "![" not in messages.answer(text)
    assert messages.answer("```mermaid\ngraph TD\n```").startswith("```text\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("$E=mc^2$", r"\(E=mc^2\)"), ("$a < b$", r"\(a &lt; b\)"), ("costs $5 or $6", "costs $5 or $6"), ("`$x$`", "`$x$`")],
)
def test_math_is_told_from_money(text: str, shown: str) -> None:
    assert messages.answer(text) == shown


def test_a_waiting_run_is_a_skeleton_with_its_place() -> None:
    question, answer = messages.of(run(), "hi", Queued(2, 12.0))
    assert question == {"role": "user", "content": "hi"}
    assert "skeleton" in answer["content"]
    assert "2 ahead of you, about 12 s" in answer["content"]


def test_a_run_that_was_stopped_in_the_queue_has_nothing_to_copy() -> None:
    stopped = run(status="finished", reason="cancelled", usage=Usage())
    _, line = messages.of(stopped, "hi", last=True)
    assert "Stopped" in line["content"]
    assert [option["label"] for option in line["options"]] == ["Regenerate"]


def test_a_stopped_run_keeps_its_text_and_says_so() -> None:
    stopped = run(status="finished", text="half", reason="cancelled", usage=Usage(5, 42, 0.03, 1.03))
    _, text, line = messages.of(stopped, "hi", last=True)
    assert text["content"] == "half"
    assert stopped.figures in line["content"]
    assert [option["label"] for option in line["options"]] == ["Copy", "Regenerate"]


def test_a_failed_run_offers_to_try_again_below_what_there_was() -> None:
    failed = run(status="failed", text="half", error="It broke <here>.")
    _, text, line = messages.of(failed, "hi", last=True)
    assert text["content"] == "half"
    assert "It broke &#60;here&#62;&#46;" in line["content"]
    assert [option["label"] for option in line["options"]] == ["Retry"]


def test_only_the_last_run_can_be_answered_again() -> None:
    assert all("options" not in message for message in messages.of(run(status="finished", text="x"), "hi"))


def test_a_cut_answer_says_why() -> None:
    assert "cut at the maximum length" in run(status="finished", reason="length", usage=Usage()).figures


def test_the_model_is_named_where_there_was_a_choice_and_is_no_html() -> None:
    plain = run(status="finished", text="x", usage=Usage(5, 1, 0.03, 1.03))
    answered = replace(plain, model="<b>", values={"message": "hi", "model": "<b>"})
    assert answered.figures.startswith("<b> · 1 token")
    assert '<p class="stats">&lt;b&gt; · 1 token' in messages.of(answered, "hi")[-1]["content"]
    assert plain.figures.startswith("1 token")
