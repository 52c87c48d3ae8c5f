"""Models, for admins: which are served, loading another while the others answer, and unloading one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from auth.routes.admin_common import for_admins, plain, with_query
from auth.routes.common import Pages, small_form

MODELS = "/auth/admin/models"
FIELDS = {"reference": 1000, "name": 100}  # a folder's path may be long
DONE = {"unloaded": "The model is unloaded. Its memory is free for others."}


class NotDone(Exception):
    """A model that is not loaded or unloaded, and why. `field` is where it is said: a field's name, "" at the model's own row."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Models(Protocol):
    """The served models, as app.py hands them over: auth knows nothing of what a model is. Safe from any thread."""

    def rows(self) -> Sequence[Any]:
        """What templates/admin_models.html shows of each."""

    def memory(self) -> Any:
        """What it shows of the memory, or None where none is counted."""

    def load(self, reference: str, name: str) -> None:
        """Begin to load one, and return at once. Raises NotDone."""

    def unload(self, name: str) -> str:
        """Let go of one; its reference. Raises NotDone."""


def model_routes(pages: Pages, models: Models) -> list[Route]:
    """Routes of the models' page."""

    def listing(
        request: Request, typed: Mapping[str, str], refused: NotDone | None = None, at: str = "", status: int = 200
    ) -> Response:  # fmt: skip
        return pages.page(
            request, "admin_models.html", status, here="admin", tab="models", rows=models.rows(), memory=models.memory(),
            error=str(refused or ""), field=refused.field if refused else "", at=at, typed={"reference": "", "name": "", **typed},
            done=DONE.get(request.query_params.get("done", ""), ""), confirmed=bool(typed) and request.method == "GET",
        )  # fmt: skip

    async def show(request: Request) -> Response:
        return await run_in_threadpool(listing, request, _typed(request.query_params))

    async def load(request: Request) -> Response:
        typed = _typed(await small_form(request))
        if ask := pages.ask_anew(request, with_query(MODELS, **typed)):
            return ask
        try:
            if not typed.get("reference"):
                raise NotDone("reference", "Give a hub id such as Qwen/Qwen3-0.6B, or a folder on the server.")
            await run_in_threadpool(models.load, typed["reference"], typed.get("name", ""))
        except NotDone as refused:
            return await run_in_threadpool(listing, request, typed, refused, "", 400)
        pages.record(request, "model-loaded", **typed)
        return RedirectResponse(MODELS, 303)

    async def unload(request: Request) -> Response:
        name = plain((await small_form(request)).get("name", ""), FIELDS["name"])
        if ask := pages.ask_anew(request, MODELS):
            return ask
        try:
            reference = await run_in_threadpool(models.unload, name)
        except NotDone as refused:
            return await run_in_threadpool(listing, request, {}, refused, name, 409)
        pages.record(request, "model-unloaded", name=name, reference=reference)
        return RedirectResponse(with_query(MODELS, done="unloaded"), 303)

    return [
        Route(MODELS, for_admins(pages, show)),
        Route(MODELS, for_admins(pages, load), methods=["POST"]),
        Route(MODELS + "/unload", for_admins(pages, unload), methods=["POST"]),
    ]


def _typed(given: Mapping[str, str]) -> dict[str, str]:
    return {name: plain(given[name], most) for name, most in FIELDS.items() if plain(given.get(name, ""), most)}
