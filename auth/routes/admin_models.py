"""Models, for admins: which are served, loading another while the others answer, unloading one, taking one off the list."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.routes.admin_common import Handler, for_admins, plain, with_query
from auth.routes.common import Pages, session_of, small_form

MODELS = "/auth/admin/models"
MOST = 1000  # characters of what is typed: a folder's path may be long


class NotDone(Exception):
    """What is not done with a model, and why. `field` is where it is said: a field's name, "" at the model's own row."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Models(Protocol):
    """The served models, as app.py hands them over: auth knows nothing of what a model is. Safe from any thread."""

    def rows(self) -> Sequence[Any]:
        """What templates/admin_models.html shows of each."""

    def memory(self) -> Any:
        """What it shows of the memory, or None where none is counted."""

    def load(self, reference: str, name: str) -> str:
        """Begin to load one, and return at once; the name that it is served by. Raises NotDone, also if it is there already."""

    def unload(self, name: str) -> str:
        """Let go of one; its reference. Raises NotDone."""

    def forget(self, name: str) -> str:
        """Take one that is not loaded off the list; its reference. Raises NotDone."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a page says beside the models: what was done, what was `refused` (to the model `at`), and what is still `typed`."""

    done: str = ""
    refused: NotDone | None = None
    at: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)


class Notes:
    """The last note for each admin's next page. It waits here: what an address says may have been written by anyone."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Note]] = {}

    def leave(self, request: Request, note: Note) -> str:
        """The address of the page that says it, to this admin alone, until there is another for them."""
        key = secrets.token_urlsafe(9)
        self._kept[session_of(request).account.id] = key, note
        return with_query(MODELS, note=key)

    def find(self, request: Request) -> Note:
        key, note = self._kept.get(session_of(request).account.id, ("", Note()))
        return note if key and request.query_params.get("note") == key else Note()


def model_routes(pages: Pages, models: Models) -> list[Route]:
    """Routes of the models' page."""
    notes = Notes()

    def listing(request: Request, note: Note, status: int = 200) -> Response:
        return pages.page(
            request, "admin_models.html", status, here="admin", tab="models", rows=models.rows(), memory=models.memory(),
            error=str(note.refused or ""), field=note.refused.field if note.refused else "", at=note.at, done=note.done,
            typed={"reference": "", "name": "", **note.typed}, not_yet=bool(note.typed) and not note.refused,
        )  # fmt: skip

    def on(request: Request, note: Note) -> Response:
        """On to the page that says it, which may be loaded again."""
        return RedirectResponse(notes.leave(request, note), 303)

    def ask_anew(request: Request, note: Note) -> Response | None:
        """As Pages.ask_anew; who comes back from it reads the note."""
        return pages.ask_anew(request) and pages.ask_anew(request, notes.leave(request, note))

    async def show(request: Request) -> Response:
        return await run_in_threadpool(listing, request, notes.find(request))

    async def load(request: Request) -> Response:
        form = await small_form(request)
        typed = {name: value for name in ("reference", "name") if (value := plain(form.get(name, ""), MOST))}
        if ask := ask_anew(request, Note(typed=typed)):
            return ask
        try:
            if "reference" not in typed:
                raise NotDone("reference", "Give a hub id such as Qwen/Qwen3-0.6B, or a folder on the server.")
            name = await run_in_threadpool(models.load, typed["reference"], typed.get("name", ""))
        except NotDone as refused:
            return await run_in_threadpool(listing, request, Note(refused=refused, typed=typed), 400)
        pages.record(request, "model-loaded", **typed)
        return on(request, Note(done=f"{name} is being loaded. Its row shows how far it is."))

    def act(event: str, button: str, do: Callable[[str], str], done: str) -> Handler:
        """What a row's `button` does to its model."""

        async def handler(request: Request) -> Response:
            name = plain((await small_form(request)).get("name", ""), MOST)
            if ask := ask_anew(request, Note(done=f"Nothing was done to {name} yet. Press {button} once more.")):
                return ask
            try:
                reference = await run_in_threadpool(do, name)
            except NotDone as refused:
                return on(request, Note(refused=refused, at=name))
            pages.record(request, event, name=name, reference=reference)
            return on(request, Note(done=f"{name} {done}"))

        return handler

    unload = act("model-unloaded", "Unload", models.unload, "is unloaded. Its memory is free for others.")
    remove = act("model-removed", "Remove", models.forget, "is off the list. Its files stay where they are.")
    return [
        Route(MODELS, for_admins(pages, show)),
        Route(MODELS, for_admins(pages, load), methods=["POST"]),
        Route(MODELS + "/unload", for_admins(pages, unload), methods=["POST"]),
        Route(MODELS + "/remove", for_admins(pages, remove), methods=["POST"]),
    ]
