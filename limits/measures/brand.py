"""How much of core/brand.py arrives on the screen, and how much of that by what the frontend's library lets one set.

Each token is looked up in one place of the page, which the driver names, by computed style. What is still there when our own
stylesheet is taken away came by the library's theming; the rest came by CSS on its classes. A value that the library has by
itself (white) counts as arrived.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from playwright.sync_api import Page

from core import brand
from limits.drivers import Lacks, Places
from limits.figures import Reading
from limits.measures import Measure
from limits.measures.look import QUICK, ask, open_new, rest
from limits.visit import Visit

COLOURS = ("background", "surface", "bubble", "border", "text", "muted", "accent", "on_accent")
SIZES = {
    "font size": brand.FONT_PX, "radius of code": brand.RADIUS_PX, "radius of the bubble": brand.BUBBLE_RADIUS_PX,
    "radius of the composer": brand.COMPOSER_RADIUS_PX, "width of the column": brand.COLUMN_PX,
}  # fmt: skip
FAMILIES = {"font": brand.FONT_STACK[0], "font of code": brand.MONO_STACK[0]}
MARKER = "--composer-radius:"  # in brand.css_variables(), with which each of our stylesheets begins
Way = Literal["by API", "by CSS", "not at all"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token: what it should be, what is seen instead (None: there is no such place), and how it came."""

    name: str
    wanted: str
    seen: str | None
    way: Way

    def __str__(self) -> str:
        instead = f", {self.seen or 'there is no place for it'} instead of {self.wanted}" if self.way == "not at all" else ""
        return f"{self.name}: {self.way}{instead}"


def take(visit: Visit) -> Iterator[Reading]:
    if visit.subject.effort == "control":
        yield from (Reading(metric, None, "The control page has no brand.") for metric in ("brand", "brand-api"))
        return
    (light, styles), (dark, others) = (read(visit, scheme) for scheme in ("light", "dark"))
    tokens, has_ours = light + dark, bool(styles and others)
    arrived = [token for token in tokens if token.way != "not at all"]
    missing = [str(token) for token in tokens if token.way == "not at all"]
    yield Reading("brand", 100 * len(arrived) / len(tokens), found=[_in_all(tokens, has_ours), *missing])
    if visit.subject.effort == "stock" or not arrived:
        yield Reading("brand-api", None, "Nothing of the brand was set.")
        return
    if not has_ours:  # whatever came would seem to have come by API
        yield Reading("brand-api", None, "Our stylesheet was not found on the page.")
        return
    set_by_api = [token for token in arrived if token.way == "by API"]
    yield Reading("brand-api", 100 * len(set_by_api) / len(arrived), found=[str(token) for token in tokens])


def _in_all(tokens: Sequence[Token], has_ours: bool) -> str:
    """How many came, and by which way where that can be told."""
    ways = Counter(token.way for token in tokens)
    if not has_ours:
        return f"{len(tokens) - ways['not at all']} of {len(tokens)} tokens arrive."
    return f"Of {len(tokens)} tokens {ways['by API']} arrive by API, {ways['by CSS']} by CSS, {ways['not at all']} not at all."


def read(visit: Visit, scheme: Literal["light", "dark"]) -> tuple[list[Token], int]:
    """The colours in one scheme; in light also what is the same in both. And how many stylesheets of ours the page has.

    The logo is looked for before the first message.
    """
    with visit.page(color_scheme=scheme) as page:
        driver = open_new(visit, page)
        if not driver.PLACES:
            raise Lacks("Nobody has said where its tokens show.")
        rest(page)
        empty = _ask(page, driver.PLACES)
        driver.send(QUICK)
        driver.wait_until_done()
        driver.composer.fill("A draft")  # the button that sends is not in use without
        rest(page)
        seen = _ask(page, driver.PLACES)
        palette = brand.LIGHT if scheme == "light" else brand.DARK
        tokens = [_token(seen, name, getattr(palette, name), f"{name.replace('_', ' ')}, {scheme}") for name in COLOURS]
        if scheme == "light":
            tokens += [_token(seen, name, value) for name, value in {**SIZES, **FAMILIES}.items()]
            tokens += _names(page, seen, empty)
        return tokens, seen["own"]


def _ask(page: Page, places: Places) -> Any:
    path = re.findall(r'd="([^"]+)"', brand.LOGO_SVG)[0]
    files = page.evaluate(
        """async (path) => {
            const images = [...document.querySelectorAll("img, link[rel~=icon]")].map((one) => one.src || one.href);
            const drawn = await Promise.all([...new Set(images)].map(async (url) => {
                const text = await fetch(url).then((answer) => answer.text()).catch(() => "");
                return text.includes(path) ? url : "";
            }));
            return drawn.filter(Boolean);
        }""",
        path,
    )
    logo = {"path": path, "files": files}
    return ask(page, "brand", {"places": places, "marker": MARKER, "logo": logo, "family": brand.FONT}) | {"files": files}


def _token(seen: Any, name: str, wanted: str | int, title: str = "") -> Token:
    def fits(state: str) -> bool:
        return _same(wanted, seen[state]["places"].get(name)) and (name != "font" or seen[state]["loaded"])

    return Token(title or name, str(wanted), seen["dressed"]["places"].get(name), _way(fits("dressed"), fits("bare")))


def _names(page: Page, seen: Any, empty: Any) -> list[Token]:
    states = ("dressed", "bare")
    name, icon = (
        [brand.NAME in seen[state]["title"] for state in states],
        [seen[state]["icon"] in seen["files"] for state in states],
    )
    logo = [empty[state]["logo"] for state in states]
    return [
        Token("name in the title", brand.NAME, seen["dressed"]["title"], _way(*name)),
        Token("icon of the page", "the logo", seen["dressed"]["icon"] or "none", _way(*icon)),
        Token("logo on the page", "the logo", "no logo", _way(*logo)),
    ]


def _way(dressed: bool, bare: bool) -> Way:
    return "not at all" if not dressed else "by API" if bare else "by CSS"


def _same(wanted: str | int, seen: str | None) -> bool:
    """Whether a computed value is `wanted`: #rrggbb to a step, pixels to one, or the first family of a list."""
    if seen is None:
        return False
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", seen)]
    if isinstance(wanted, int):
        return seen.endswith("px") and abs(numbers[0] - wanted) <= 1
    if not wanted.startswith("#"):
        return seen.split(",")[0].strip("\"' ") == wanted
    channels = [int(wanted[at : at + 2], 16) for at in (1, 3, 5)]
    opaque = seen.startswith("rgb") and (len(numbers) == 3 or numbers[3] == 1)
    return opaque and all(abs(one - other) <= 1 for one, other in zip(numbers, channels, strict=False))


MEASURES = (Measure("brand", ("brand", "brand-api"), take),)
