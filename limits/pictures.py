"""The pictures of each subject that lie side by side in the report: no figure says whether a page looks good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from limits.visit import DESKTOP, PHONE, Visit

QUESTION = "table"


@dataclass(frozen=True, slots=True)
class Picture:
    """`file` lies in the report's pictures; `width` is the window's in px, `scheme` light or dark."""

    title: str
    subject: str
    width: int
    scheme: str
    file: str


def take_pictures(visit: Visit) -> Iterator[Picture]:
    """An empty and an answered conversation at phone and desktop width, light and dark."""
    for scheme in ("light", "dark"):
        for size in (PHONE, DESKTOP):
            with visit.page(size, color_scheme=scheme) as page:
                driver = visit.open(page)
                for title in ("Before the first question", "An answer with a table and code"):
                    if title.startswith("An answer"):
                        driver.send(QUESTION)
                        driver.wait_until_done()
                    page.wait_for_timeout(500)  # fonts and the last animation; nobody's verdict hangs on it
                    yield Picture(title, visit.subject.id, size[0], scheme, visit.picture(page, f"{title} {size[0]} {scheme}"))
