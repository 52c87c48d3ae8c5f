"""Asking, what comes, stop, and once more."""

from __future__ import annotations

import re
import time

from limits.verbs.scene import SHOW_S, Failed, Scene, numbers_in, verb

ANSWER_S = 15.0


@verb("can type")
def can_type(scene: Scene) -> None:
    """find a composer that takes text"""
    scene.wait(scene.tab.chat.composer.is_editable, SHOW_S, "The composer takes no text.")


@verb("ask")
def ask(scene: Scene, text: str) -> None:
    """ask a question"""
    scene.tab.chat.send(scene.marked(text))


@verb("is answered")
def is_answered(scene: Scene) -> None:
    """wait for the answer"""
    mark = scene.mark
    scene.wait(lambda: mark in scene.tab.chat.last_answer(), ANSWER_S, f"The question was not answered within {ANSWER_S:.0f} s.")
    scene.tab.chat.wait_until_done(SHOW_S)


@verb("grows")
def grows(scene: Scene) -> None:
    """watch the answer grow"""
    seen: set[int] = set()
    scene.wait(
        lambda: seen.add(scene.last()) or len(seen - {0}) >= 4,
        ANSWER_S,
        "The answer did not grow, it came in one piece or not at all.",
    )


@verb("reaches")
def reaches(scene: Scene, number: int) -> None:
    """see the answer begin"""
    scene.wait(lambda: scene.last() >= number, ANSWER_S, lambda: f"The answer stood at {scene.last()} after {ANSWER_S:.0f} s.")


@verb("ends at")
def ends_at(scene: Scene, number: int, seconds: float) -> None:
    """see the answer complete"""
    _ = scene.mark  # raises where the step before has lost its question: then nothing is known of this one
    whole = list(range(1, number + 1))
    scene.wait(lambda: scene.numbers() == whole, seconds, lambda: short_of(scene.numbers(), number, seconds))
    scene.tab.chat.wait_until_done(SHOW_S)


def short_of(numbers: list[int], wanted: int, seconds: float) -> str:
    if not numbers:
        return f"After {seconds:g} s no answer was there."
    if numbers[-1] == wanted:
        return f"After {seconds:g} s the answer was there with {len(numbers)} of {wanted} numbers."
    return f"After {seconds:g} s the answer stood at {numbers[-1]} of {wanted}."


@verb("shows at least")
def shows_at_least(scene: Scene, number: int) -> None:
    """read what came of the answer"""
    scene.tab.seen = number
    scene.wait(
        lambda: scene.last() >= number, 1, lambda: f"What had come of the answer was gone: {scene.last()} of {number} numbers."
    )


@verb("conversation stands")
def conversation_stands(scene: Scene) -> None:
    """read the conversation"""
    marks = scene.tab.marks
    if not marks:
        return

    def counts() -> list[int]:
        messages = scene.tab.chat.messages()
        return [sum(mark in message for message in messages) for mark in marks]

    def told() -> str:
        missing, twice = sum(count == 0 for count in counts()), sum(count > 1 for count in counts())
        if missing == len(marks):
            return "The conversation was gone."
        return f"Of {len(marks)} questions {missing} were gone and {twice} stood there twice."

    scene.wait(lambda: all(count == 1 for count in counts()), SHOW_S, told)


@verb("error is a sentence")
def error_is_a_sentence(scene: Scene) -> None:
    """read what went wrong"""
    scene.wait(scene.tab.chat.error, ANSWER_S, f"Nothing said that the model broke off, for {ANSWER_S:.0f} s.")
    text = (scene.tab.chat.error() or "").strip()
    if "Traceback" in scene.tab.page.locator("body").inner_text():
        raise Failed("What was shown of the error is a traceback.")
    if len(re.findall(r"[A-Za-z]{2,}", text)) < 3:
        raise Failed(f"What was shown of the error is no sentence: “{text}”.")


@verb("stop")
def stop(scene: Scene) -> None:
    """stop the answer"""
    scene.tab.seen = scene.last()
    scene.tab.stopped_at = time.time()
    scene.tab.chat.stop()


@verb("model is told within")
def model_is_told_within(scene: Scene, seconds: float) -> None:
    """learn from the model's log how the answer ended"""
    mark, sentence = scene.mark, f"The model was still writing {seconds:g} s after Stop was pressed."
    # The press itself is waited for by the browser and may take a moment, so the log's own time is what counts.
    scene.wait(lambda: scene.visit.tokens.ended(mark), seconds + 1, sentence)
    how, at = scene.visit.tokens.ended(mark) or ("", 0.0)
    if at - scene.tab.stopped_at > seconds:
        raise Failed(sentence)
    if how != "left":
        raise Failed(f"The model was not told: its answer {how}.")


@verb("partial answer stays")
def partial_answer_stays(scene: Scene) -> None:
    """read what there was when it was stopped"""
    scene.tab.chat.wait_until_done(SHOW_S)
    scene.tab.page.wait_for_timeout(1000)  # for a page that takes it away a little later
    if scene.last() < scene.tab.seen:
        raise Failed(f"The partial answer was lost: {scene.tab.seen} numbers stood there, then {scene.last()}.")


@verb("partial answer still stands")
def partial_answer_still_stands(scene: Scene) -> None:
    """find the partial answer above the next one"""
    tab, whole = scene.tab, list(range(1, scene.tab.seen + 1))
    tab.page.wait_for_timeout(1000)  # for a page that draws the conversation anew when an answer has ended

    def stands() -> bool:
        return any(numbers_in(text)[: len(whole)] == whole for text in tab.page.locator(tab.chat.ANSWER).all_inner_texts())

    scene.wait(stands, SHOW_S, f"The partial answer of {tab.seen} numbers was lost with the next question.")


@verb("regenerate")
def regenerate(scene: Scene) -> None:
    """have the last question answered once more"""
    before = scene.visit.tokens.asked(scene.mark)
    full = scene.last()
    scene.tab.chat.regenerate()
    scene.wait(lambda: scene.visit.tokens.asked(scene.mark) > before, SHOW_S, "The model was not asked again.")
    scene.wait(lambda: scene.last() < full or scene.visit.tokens.ended(scene.mark), SHOW_S, "The old answer stood on.")


@verb("model was asked")
def model_was_asked(scene: Scene, times: int) -> None:
    """learn from the model's log how often it was asked"""
    if (asked := scene.visit.tokens.asked(scene.mark)) != times:
        raise Failed(f"The model was asked {asked} times for one answer.")


@verb("model still writes")
def model_still_writes(scene: Scene) -> None:
    """find the answer under way"""
    if scene.visit.tokens.ended(scene.mark):
        raise Failed("The answer ended too soon, so that nothing is known.")


@verb("answers came side by side")
def answers_came_side_by_side(scene: Scene) -> None:
    """learn from the model's log when it was asked"""
    (first, second), tokens = (tab.marks[-1] for tab in scene.tabs), scene.visit.tokens
    if min(tokens.times(second).values()) > (tokens.ended(first) or ("", time.time()))[1]:
        raise Failed("The model was asked for the second tab only after the first had its answer.")
