"""Plays the scenario on a subject: each step passes, or fails with a sentence and a picture, and the next one is played."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page

from limits.proxy import Network
from limits.scenario import SCENARIO, Act, Step
from limits.told import sentence
from limits.verbs import VERBS, Scene
from limits.visit import DESKTOP, Visit


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step went on a subject. `why` is a sentence and `picture` a file of the report's pictures where it failed."""

    step: str
    subject: str
    passed: bool
    why: str = ""
    picture: str = ""
    title: str = ""


def play_all(visit: Visit, scenario: Sequence[Step] = SCENARIO) -> Iterator[StepResult]:
    """Every step in order, whatever became of the one before."""
    with Stage(visit) as stage:
        for step in scenario:
            yield stage.play(step)


class Stage(AbstractContextManager["Stage"]):
    """One subject behind a network that can be cut, and the page on which the story goes on; use it `with`."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._network = Network()
        self._story: Scene | None = None
        self._pages = ExitStack()  # the story's page, while there is one
        self._opened: Page | None = None  # what the step sees while its scene is not there yet

    def play(self, step: Step) -> StepResult:
        if not step.alone:
            return self._play_on(step)
        with ExitStack() as pages:
            return self._try(step, None, pages)

    def _play_on(self, step: Step) -> StepResult:
        result = self._try(step, self._story, self._pages)
        if not result.passed:  # what comes next begins with a fresh page
            self._close_story()
        return result

    def _try(self, step: Step, scene: Scene | None, pages: ExitStack) -> StepResult:
        name, why, picture, act = self._visit.subject.id, "", "", ("open",)
        self._opened = None
        try:
            if scene is None:
                scene = self._open(step, pages)
            for act in step.acts:
                VERBS[str(act[0])](scene, *act[1:])
        except Exception as error:  # whatever it is, the other steps are wanted
            why = sentence(error, _doing(act))
            picture = self._picture(step, scene)
        finally:
            self._network.restore()
        return StepResult(step.name, name, not why, why, picture, step.title)

    def _open(self, step: Step, pages: ExitStack) -> Scene:
        # "<-loopback>": else Chromium asks what is on this machine without the proxy.
        proxy = {"server": self._network.url, "bypass": "<-loopback>"}
        self._opened = pages.enter_context(self._visit.page(step.size if step.alone else DESKTOP, proxy=proxy))
        scene = Scene(self._visit, self._network, self._opened)
        if not step.alone:
            self._story = scene
        return scene

    def _picture(self, step: Step, scene: Scene | None) -> str:
        page = scene.tab.page if scene else self._opened
        return self._visit.proof(page, f"step {step.name}") if page else ""

    def _close_story(self) -> None:
        self._story = None
        with suppress(PlaywrightError):
            self._pages.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_story()
        self._network.__exit__(kind, error, trace)


def _doing(act: Act) -> str:
    """What an act does, to end the sentence "It was not possible to ..."."""
    return (VERBS[str(act[0])].__doc__ if act[0] in VERBS else None) or "open the page"
