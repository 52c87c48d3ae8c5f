"""The served models as people are shown them: on the admin page, on /readyz and at home; and an admin's hand on them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auth.routes.admin_models import NotDone
from core.errors import ModelError, UserError, gigabytes
from core.references import NAME, name_of

if TYPE_CHECKING:
    from core.engine.router import Entry, Router

WORDS = {"unloaded": "not loaded", "getting": "being fetched", "loading": "being loaded", "ready": "ready", "failed": "failed"}
IN_PROGRESS = ("getting", "loading")
KILO, MEGA, GIGA = 1e3, 1e6, 1e9  # parameters, and bytes in MB


@dataclass(frozen=True, slots=True)
class Row:
    """A model as portal/templates/admin_models.html shows it. `fraction` is None while it is not known how far it is."""

    id: str
    name: str
    reference: str
    state: str
    words: str
    is_default: bool
    fraction: float | None
    counted: str
    figures: tuple[tuple[str, str], ...]
    alone: str
    error: str
    may_load: bool
    may_unload: bool
    may_remove: bool

    @property
    def in_progress(self) -> bool:
        return self.state in IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Memory:
    """What the models take of what they may, in bytes, and in words."""

    taken: int
    limit: int
    sentence: str
    short: str
    help: str


class Shelf:
    """`router()` is None until the engine is there. Safe from any thread."""

    def __init__(self, router: Callable[[], Router | None]) -> None:
        self._router = router

    def rows(self) -> list[Row]:
        router = self._router()
        if router is None:
            return []
        return [row(one, one.name == router.default) for one in router.entries()]

    def states(self) -> list[dict[str, Any]]:
        """As /readyz tells them to whoever is signed in: where a folder lies is for admins.

        `alone` says why a model's requests run one at a time.
        """
        router = self._router()
        return [
            {
                "name": without_path(one.name), "state": one.state, "done": one.done, "total": one.total, "unit": one.unit,
                "alone": one.info.alone if one.info else "",
            }
            for one in (router.entries() if router else [])
        ]  # fmt: skip

    def memory(self) -> Memory | None:
        router = self._router()
        return memory(router) if router and router.budget else None

    def short(self) -> str:
        """The memory in a few words; none where none is counted."""
        found = self.memory()
        return found.short if found else ""

    def load(self, reference: str, name: str) -> str:
        router = self._there()
        before = {one.name: one for one in router.entries()}
        try:
            entry = router.load(reference, name)
        except UserError as error:
            at = "reference" if isinstance(error, ModelError) else "name" if is_of_name(reference, name, before) else ""
            raise NotDone(at, error.message) from None
        if (was := before.get(entry.name)) and not may_load(was):
            state = "ready" if was.state == "ready" else "being loaded"
            raise NotDone("reference", f"This model is {state} already, as {entry.name}.")
        return entry.name

    def unload(self, name: str) -> str:
        return self._done(name, self._there().unload)

    def forget(self, name: str) -> str:
        return self._done(name, self._there().forget)

    def _done(self, name: str, do: Callable[[str], None]) -> str:
        reference = next((one.reference for one in self._there().entries() if one.name == name), "")
        try:
            do(name)
        except UserError as error:
            raise NotDone("", error.message) from None
        return reference

    def _there(self) -> Router:
        router = self._router()
        if router is None:
            raise NotDone("", "The server is still starting. Try again in a moment.")
        return router


def row(one: Entry, is_default: bool) -> Row:
    name_sum = zlib.crc32(one.name.encode(errors="replace"))  # so that it stays the same row when one before it goes
    return Row(
        id=f"model-{name_sum:08x}", name=one.name, reference=one.reference, state=one.state, words=words(one),
        is_default=is_default,
        fraction=min(one.done / one.total, 1.0) if one.total else None, counted=counted(one), figures=figures(one),
        alone=one.info.alone if one.info else "", error=one.error, may_load=may_load(one),
        may_unload=one.state == "ready" and not is_default, may_remove=may_load(one) and not is_default,
    )  # fmt: skip


def may_load(one: Entry) -> bool:
    return one.state in ("unloaded", "failed")


def is_of_name(reference: str, name: str, entries: Mapping[str, Entry]) -> bool:
    """Whether what a router refuses is the name: it is none, or another model's."""
    there = entries.get(name or name_of(reference))
    return bool(name and not NAME.fullmatch(name)) if there is None else there.reference != reference


def without_path(name: str) -> str:
    """A model that was never found goes by what was given for it, which may be a path: the last part of that."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def words(one: Entry) -> str:
    """Its state. A folder is never fetched, and a hub's model is looked at first."""
    return "being looked at" if one.state == "getting" and not one.total else WORDS[one.state]


def counted(one: Entry) -> str:
    """How far it is, in words."""
    if not one.total:
        return "Looking at it first" if one.state == "getting" else "Its turn comes in a moment"
    if one.unit == "B":
        return f"{one.done / MEGA:,.0f} of {one.total / MEGA:,.0f} MB are here"
    return f"{one.done:,} of {one.total:,} tensors are loaded"


def figures(one: Entry) -> tuple[tuple[str, str], ...]:
    """What a reader wants to know of it, as (label, value)."""
    memory = (("Memory", gigabytes(one.needs) if one.needs >= MEGA else "under 1 MB"),) if one.needs else ()
    if one.info is None:
        return memory
    info = one.info
    parameters = (("Parameters", many(info.parameters)),) if info.parameters else ()
    where = (("Computed in", f"{info.dtype} on {info.device}"),) if info.parameters else ()
    return (
        *parameters, *where, ("Context", f"{info.context:,} tokens"), *memory,
        ("Requests in hand", str(one.busy)),
    )  # fmt: skip


def memory(router: Router) -> Memory:
    taking = [one for one in router.entries() if one.state in ("ready", *IN_PROGRESS)]
    taken = sum(one.needs for one in taking)
    free = gigabytes(max(router.budget - router.base - taken, 0))
    loaded = "1 model takes" if len(taking) == 1 else f"{len(taking)} models take"
    return Memory(
        taken, router.budget - router.base, f"{loaded} {gigabytes(taken)}, and {free} is free for others.",
        f"{gigabytes(taken)} of {gigabytes(max(router.budget - router.base, 0))}",
        f"The whole server may take {gigabytes(router.budget)} (--memory, or what this machine has), of which about "
        f"{gigabytes(router.base)} is its own. When a model needs more room than is free, the one that was asked least lately "
        "leaves, but never one that is answering.",
    )  # fmt: skip


def many(number: int) -> str:
    """A number of parameters for people: 420 thousand, 5.2 million, 3.1 billion."""
    for size, word in ((GIGA, "billion"), (MEGA, "million"), (KILO, "thousand")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return str(number)
