"""Typing: drafts, and the keyboard alone."""

from __future__ import annotations

from limits.verbs.answers import ANSWER_S, short_of
from limits.verbs.scene import SHOW_S, Failed, Scene, verb

MAX_TABS = 80


@verb("draft")
def draft(scene: Scene, text: str) -> None:
    """begin a draft"""
    scene.tab.draft = text
    scene.tab.chat.composer.fill(text)


@verb("type")
def type_(scene: Scene, text: str) -> None:
    """type while it answers"""
    if not scene.tab.chat.composer.is_editable():
        raise Failed("The composer is disabled while it answers.")
    scene.tab.chat.composer.click()
    scene.tab.draft = text
    scene.tab.page.keyboard.type(text, delay=20)
    draft_stands(scene)


@verb("can type until")
def can_type_until(scene: Scene, number: int) -> None:
    """keep the composer while it answers"""

    def ended() -> bool:
        if not scene.tab.chat.composer.is_editable():
            raise Failed(f"The composer was disabled at {scene.last()} of {number} numbers.")
        return scene.last() >= number and not scene.tab.chat.is_answering()

    scene.wait(ended, ANSWER_S, lambda: short_of(scene.numbers(), number, ANSWER_S))
    scene.tab.chat.wait_until_done(SHOW_S)


@verb("draft stands")
def draft_stands(scene: Scene) -> None:
    """read the draft"""
    shown = scene.tab.chat.draft()
    if shown != scene.tab.draft:
        raise Failed(f"The draft was lost: “{scene.tab.draft}” became “{shown[:60]}”." if shown else "The draft was lost.")


@verb("composer has the focus")
def composer_has_the_focus(scene: Scene) -> None:
    """find the focus"""
    if not _focused(scene):
        raise Failed(f"The composer lost the focus to {_focus(scene)}.")


@verb("tab to the composer")
def tab_to_the_composer(scene: Scene) -> None:
    """reach the composer with Tab"""
    scene.tab.chat.composer.fill("")
    scene.tab.page.evaluate("document.activeElement?.blur(), getSelection().setPosition(document.body, 0)")
    for _ in range(MAX_TABS):
        scene.tab.page.keyboard.press("Tab")
        if _focused(scene):
            return
    raise Failed(f"Tab was pressed {MAX_TABS} times and did not lead to the composer.")


@verb("type and press Enter")
def type_and_press_enter(scene: Scene, text: str) -> None:
    """type a question and press Enter"""
    scene.tab.page.keyboard.type(scene.marked(text))
    scene.tab.page.keyboard.press("Enter")


def _focused(scene: Scene) -> bool:
    return bool(scene.tab.chat.composer.evaluate("element => element === document.activeElement"))


def _focus(scene: Scene) -> str:
    return str(scene.tab.page.evaluate("document.activeElement?.cloneNode().outerHTML.slice(0, 80) ?? 'nothing'"))
