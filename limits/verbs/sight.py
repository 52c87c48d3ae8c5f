"""What is seen: colours, the window, and what scrolls."""

from __future__ import annotations

import io
import time
from typing import Any

from PIL import Image, ImageStat

from limits.verbs.scene import SHOW_S, Failed, Scene, verb

DARK = 100  # of 255: the median brightness below which a page is dark
PULLED_PX = 40


@verb("system is")
def system_is(scene: Scene, scheme: Any) -> None:
    """change the system's colours"""
    scene.tab.page.emulate_media(color_scheme=scheme)


@verb("page is")
def page_is(scene: Scene, scheme: str) -> None:
    """see the page's colours"""

    def brightness() -> float:
        picture = Image.open(io.BytesIO(scene.tab.page.screenshot())).convert("L")
        return float(ImageStat.Stat(picture).median[0])

    sentence = f"The system was {scheme} and the page was not, for {SHOW_S:.0f} s."
    scene.wait(lambda: (brightness() < DARK) == (scheme == "dark"), SHOW_S, sentence)


@verb("window is")
def window_is(scene: Scene, width: int, height: int) -> None:
    """turn the window"""
    scene.tab.page.set_viewport_size({"width": width, "height": height})


@verb("composer is in sight")
def composer_is_in_sight(scene: Scene) -> None:
    """find the composer"""
    page = scene.tab.page

    def in_sight() -> bool:
        box, size = scene.tab.chat.composer.bounding_box(), page.viewport_size
        assert size
        return bool(
            box and box["x"] >= 0 and box["y"] >= 0
            and box["x"] + box["width"] <= size["width"] and box["y"] + box["height"] <= size["height"]
        )  # fmt: skip

    size = page.viewport_size or {}
    scene.wait(in_sight, SHOW_S, f"At {size.get('width')} x {size.get('height')} the composer is out of sight.")


# What scrolls under the wheel: the innermost element there that is not at its top. It is kept, to be read again.
FIND_SCROLLER = """([x, y]) => {
  let found = document.elementFromPoint(x, y);
  while (found && !(found.scrollTop > 0)) found = found.parentElement;
  window.porticoScroller = found;
  return found ? found.scrollTop : 0;
}"""
SCROLLED = "() => (window.porticoScroller?.isConnected ? window.porticoScroller : document.scrollingElement).scrollTop"


@verb("scroll up")
def scroll_up(scene: Scene) -> None:
    """scroll up"""
    page, size = scene.tab.page, scene.tab.page.viewport_size
    assert size
    middle = [size["width"] / 2, size["height"] / 2]
    before = page.evaluate(FIND_SCROLLER, middle)
    if before < 100:
        raise Failed("There was nothing to scroll, so that nothing is known.")
    page.mouse.move(*middle)
    for _ in range(4):
        page.mouse.wheel(0, -100)  # a notch of a mouse's wheel
        page.wait_for_timeout(80)
    scene.wait(lambda: page.evaluate(SCROLLED) < before - 60, 1, "It was pulled back down at once.")
    page.wait_for_timeout(150)  # the wheel's own motion comes to rest


@verb("is left alone for")
def is_left_alone_for(scene: Scene, seconds: float) -> None:
    """read in peace"""
    begun, deadline = scene.tab.page.evaluate(SCROLLED), time.monotonic() + seconds
    while time.monotonic() < deadline:
        scene.tab.page.wait_for_timeout(50)
        if (pulled := scene.tab.page.evaluate(SCROLLED) - begun) > PULLED_PX:
            raise Failed(f"It was pulled back down by {pulled:.0f} px while one was reading.")


@verb("scroll down")
def scroll_down(scene: Scene) -> None:
    """scroll down to the end"""
    scene.tab.page.mouse.wheel(0, 10_000)
    scene.tab.page.wait_for_timeout(300)
