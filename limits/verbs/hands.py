"""Typing: drafts, and the keyboard alone."""

from __future__ import annotations

from limits.focus import TABS, focused, has_focus, tab_to, to_the_top
from limits.verbs.answers import ANSWER_S, short_of
from limits.verbs.scene import SHOW_S, Failed, Scene, verb


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
    if not has_focus(scene.tab.chat.composer):
        raise Failed(f"The composer lost the focus to {focused(scene.tab.page, 80)}.")


@verb("tab to the composer")
def tab_to_the_composer(scene: Scene) -> None:
    """reach the composer with Tab"""
    composer = scene.tab.chat.composer
    composer.fill("")
    to_the_top(scene.tab.page)
    if not tab_to(scene.tab.page, lambda: has_focus(composer)):
        raise Failed(f"Tab was pressed {TABS} times and did not lead to the composer.")


@verb("type and press Enter")
def type_and_press_enter(scene: Scene, text: str) -> None:
    """type a question and press Enter"""
    scene.tab.page.keyboard.type(scene.marked(text))
    scene.tab.page.keyboard.press("Enter")
