"""The scenario that every frontend goes through, as data: what a person does, and what must be so afterwards.

A step is a sentence and a row of acts, each a verb of limits/verbs with its arguments. limits/play.py plays them.
"""

from __future__ import annotations

from dataclasses import dataclass

from limits.visit import DESKTOP

Act = tuple[str | float, ...]
PORTRAIT, LANDSCAPE, SMALL = (390, 844), (844, 390), (390, 520)


@dataclass(frozen=True, slots=True)
class Step:
    """`title` says it in plain words. One that `counts` is among the eight of the metric "resilience".

    The steps of the story go on with one page, as a person does; one `alone` has a page of `size` for itself.
    """

    name: str
    title: str
    acts: tuple[Act, ...]
    counts: bool = False
    alone: bool = False
    size: tuple[int, int] = DESKTOP


def _survives(name: str, title: str, *acts: Act, size: tuple[int, int] = DESKTOP) -> Step:
    return Step(name, title, acts, counts=True, alone=True, size=size)


STORY = (
    Step("sign-in", "Sign in, and find a page that one can type in.", (("can type",),)),
    Step("send", "Ask a question: it stands in the conversation and is answered.", (
        ("ask", "hello"), ("is answered",), ("conversation stands",),
    )),
    Step("watch", "Watch a longer answer grow before one's eyes.", (
        ("ask", "count to 60 at 30"), ("grows",), ("ends at", 60, 15),
    )),
    Step("stop-early", "Stop an answer: what there is stays, and the model is told.", (
        ("ask", "count to 300 at 30"), ("reaches", 10), ("stop",), ("model is told within", 2), ("partial answer stays",),
    )),
    Step("regenerate", "Have the last question answered once more, in the place of the first answer.", (
        ("ask", "count to 30 at 60"), ("ends at", 30, 15), ("regenerate",), ("ends at", 30, 15), ("conversation stands",),
    )),
    Step("theme", "Turn the system to dark: the page follows, and the draft stays.", (
        ("draft", "half a thought"), ("system is", "light"), ("page is", "light"),
        ("system is", "dark"), ("page is", "dark"), ("draft stands",),
    )),
    Step("rotate", "Turn the phone on its side and back: composer, conversation and draft stay.", (
        ("draft", "half a thought"), ("window is", *PORTRAIT), ("composer is in sight",),
        ("window is", *LANDSCAPE), ("composer is in sight",), ("conversation stands",), ("draft stands",),
        ("window is", *PORTRAIT), ("composer is in sight",), ("conversation stands",), ("draft stands",), ("window is", *DESKTOP),
    )),
    Step("lose", "Lose the network in the middle of an answer: what is on the screen stays.", (
        ("ask", "count to 120 at 30"), ("reaches", 20), ("cut",), ("wait", 2), ("conversation stands",), ("shows at least", 10),
    )),
    Step("come-back", "Come back into the network: the answer is complete without asking again.", (
        ("restore",), ("ends at", 120, 10), ("conversation stands",), ("model was asked", 1),
    )),
    Step("keyboard", "Ask with the keyboard alone, from the top of the page.", (
        ("tab to the composer",), ("type and press Enter", "count to 20 at 60"), ("ends at", 20, 15),
    )),
)  # fmt: skip

RESILIENCE = (
    _survives(
        "cut", "The network is gone for 3 s in mid-answer: conversation and answer are there within 20 s.",
        ("ask", "hello"), ("is answered",), ("ask", "count to 120 at 30"), ("reaches", 10),
        ("cut",), ("wait", 3), ("restore",), ("ends at", 120, 20), ("conversation stands",),
    ),
    _survives(
        "restart", "The server is restarted: after a reload the conversation is there, and the next question is answered.",
        ("ask", "hello"), ("is answered",), ("restart the server",), ("reload",), ("conversation stands",),
        ("ask", "hello again"), ("is answered",),
    ),
    _survives(
        "reload", "The page is reloaded in mid-answer: the conversation is there, and the rest of the answer comes.",
        ("ask", "count to 90 at 30"), ("reaches", 10), ("reload",), ("conversation stands",), ("ends at", 90, 10),
    ),
    _survives(
        "tabs", "A second tab of the same person asks while the first streams, and both finish.",
        ("open a tab",), ("go to tab", 1), ("ask", "count to 150 at 30"), ("reaches", 5),
        ("go to tab", 2), ("ask", "count to 20 at 60"), ("ends at", 20, 15),
        ("go to tab", 1), ("ends at", 150, 15), ("answers came side by side",),
    ),
    _survives(
        "error", "The model breaks off: a sentence says so, what came before stays, and the next question is answered.",
        ("ask", "fail after 5"), ("error is a sentence",), ("shows at least", 5), ("conversation stands",), ("can type",),
        ("ask", "hello"), ("is answered",), ("partial answer still stands",),
    ),
    _survives(
        "stop", "Stop: the model is told within 2 s, the partial answer stays, and the next question is answered.",
        ("ask", "count to 300 at 30"), ("reaches", 10), ("stop",), ("model is told within", 2), ("partial answer stays",),
        ("ask", "hello"), ("is answered",), ("partial answer still stands",), ("conversation stands",),
    ),
    _survives(
        "draft", "Typing goes on while it answers: never disabled, and focus and draft stay when it ends.",
        ("ask", "count to 120 at 30"), ("reaches", 5), ("type", "what I want to ask next"), ("can type until", 120),
        ("draft stands",), ("composer has the focus",),
    ),
    _survives(
        "scroll", "Scrolling up while it answers is left alone, a first and a second time.",
        ("ask", "count to 300 at 100"), ("ends at", 300, 20), ("ask", "count to 800 at 40"), ("reaches", 20),
        ("scroll up",), ("is left alone for", 1.5), ("scroll down",), ("scroll up",), ("is left alone for", 1.5),
        ("model still writes",), size=SMALL,
    ),
)  # fmt: skip

SCENARIO = STORY + RESILIENCE
