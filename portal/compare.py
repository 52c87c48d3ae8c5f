"""Side by side: every frontend on one conversation, at a width of one's choice, and one composer that asks for all of them.

The page asks the model itself; each frontend finds the running answer as after a reload, but without one (docs/frontends.md).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from core.errors import BadInput, UserError, error_code, screen_message
from core.service import InferenceService
from core.store import Conversation, Run
from core.tasks import Field, Task, choices
from core.types import Kind, User
from portal.pages import Tab, error_page, render

WIDTHS = {"phone": 390, "tablet": 768, "desktop": 1280}  # CSS pixels that a frontend is laid out in
NEW = "new"  # what an address names that has no conversation yet
MAX_BODY = 1_000_000  # bytes
STATUS = {"not_found": 404, "busy": 429, "quota_used": 429, "loading": 503, "internal": 500}
CLIENT_GONE = 499  # nobody reads it
ALONE = "Side by side needs two frontends, and this server has one. Start it without --ui, or with one --ui for each."

Given = Mapping[str, Any]
Service = Callable[[], InferenceService | None]


class StillLoading(UserError):
    """The model is not there yet."""

    code = "loading"

    def __init__(self) -> None:
        super().__init__("The model is still loading. Your message is kept; send it again in a few seconds.")


def compare_routes(
    tabs: Sequence[Tab], service: Service, user_of: Callable[[Any], User], header: Callable[[Request], Given]
) -> list[Route]:
    """The page, and what its script asks, as JSON: a conversation's state, or `error`, a sentence.

    `service()` is None while the model loads, `user_of(scope)` is who asks, `header(request)` what home.html shows at the top.
    """

    def ready() -> InferenceService:
        if (found := service()) is None:
            raise StillLoading
        return found

    async def page(request: Request) -> Response:
        if len(tabs) < 2:
            return error_page(404, ALONE)
        wanted, width = (request.query_params.get(name, "") for name in ("c", "width"))
        conversation, error = await run_in_threadpool(_find, service(), user_of(request.scope), wanted)
        return HTMLResponse(
            render(
                "compare.html", tabs=tabs, chosen=Tab("", "Side by side"), conversation=conversation, widths=WIDTHS, width=width,
                **{**header(request), "error": error},
            )
        )  # fmt: skip

    async def state(request: Request) -> Given:
        wanted = request.query_params.get("c", "")
        return await run_in_threadpool(_state, ready(), user_of(request.scope), wanted)

    async def ask(request: Request) -> Given:
        return await run_in_threadpool(_ask, ready(), user_of(request.scope), await _given(request))

    async def stop(request: Request) -> Given:
        given = await _given(request)
        await run_in_threadpool(ready().cancel, user_of(request.scope), str(given.get("run", "")))
        return {}

    return [
        Route("/compare", page),
        Route("/compare/state", _told(state)),
        Route("/compare/ask", _told(ask), methods=["POST"]),
        Route("/compare/stop", _told(stop), methods=["POST"]),
    ]


def _told(handler: Callable[[Request], Awaitable[Given]]) -> Callable[[Request], Awaitable[Response]]:
    """What `handler` gives as JSON; what it raises as a sentence for the screen."""

    async def answered(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except Exception as error:
            return JSONResponse({"error": screen_message(error)}, STATUS.get(error_code(error), 400))

    return answered


async def _given(request: Request) -> Given:
    """The JSON object that the page has sent; raises BadInput."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadInput("message", f"This is larger than {MAX_BODY:,} bytes. Shorten it.")
    with suppress(ValueError, RecursionError):
        given = json.loads(body)
        if isinstance(given, dict):
            return given
    raise BadInput("message", "This is nothing that the page sends. Load it anew.")


def _find(service: InferenceService | None, user: User, wanted: str) -> tuple[str, str]:
    """The conversation that the page opens, by the rule of every frontend's address, and why it is not the one that is wanted."""
    if service is None or wanted == NEW:
        return wanted, ""
    try:
        found = service.conversation(user, wanted) if wanted else service.last_conversation(user)
    except Exception as error:
        return NEW, screen_message(error)
    return found.id if found else NEW, ""


def _state(service: InferenceService, user: User, conversation_id: str) -> Given:
    """How the conversation stands, in the names that the page's script uses; NEW and "" are an empty one."""
    empty = conversation_id in ("", NEW)
    runs = (Conversation("", "") if empty else service.conversation(user, conversation_id)).runs
    last = runs[-1] if runs else None
    return {
        "conversation": conversation_id or NEW,
        "run": last.id if last else "",
        "live": last is not None and last.live,
        "model": _model(service, last),
        "error": (last and last.error) or "",
        "choices": [_choice(one, last) for one in _task(service).fields if one.kind is Kind.CHOICE],
    }


def _choice(field: Field, last: Run | None) -> Given:
    """A choice as the page draws it: as the last answer had it, with a sentence if that is gone."""
    value, gone = choices.fitting(field, last.values.get(field.name) if last else None)
    return {"name": field.name, "label": field.label, "options": field.choices, "value": value, "gone": gone}


def _ask(service: InferenceService, user: User, given: Given) -> Given:
    """Start a run: the message as it was typed, the choices as they stand on the page, all else as the last answer had it."""
    conversation_id, chosen = str(given.get("conversation", "")), given.get("values", {})
    conversation_id = "" if conversation_id == NEW else conversation_id
    task = _task(service)
    chat = next(field.name for field in task.inputs if field.kind is Kind.CHAT)
    runs = service.conversation(user, conversation_id).runs if conversation_id else ()
    chosen = choices.current(chosen if isinstance(chosen, dict) else {}, {field.name: field for field in task.fields})
    values = {**_carried(task, runs), **chosen, chat: str(given.get("message", ""))}
    run = service.start(user, task.name, values, conversation_id)
    return _state(service, user, run.conversation_id)


def _task(service: InferenceService) -> Task:
    return next(iter(service.tasks.values()))


def _carried(task: Task, runs: Sequence[Run]) -> dict[str, Any]:
    """The settings of the last answer, as far as the task still takes them: a conversation goes on with its own."""
    kept = {}
    for field in task.fields:
        if runs and field.kind is not Kind.CHAT and field.name in runs[-1].values:
            with suppress(BadInput):
                kept[field.name] = field.clean(runs[-1].values[field.name])
    return kept


def _model(service: InferenceService, last: Run | None) -> str:
    """Which model answers, and how it went, in a line; none before the first message where there is a choice of models."""
    if last is None:
        return "" if len(service.models) > 1 else f"{service.model.name} answers"
    if last.live:
        return f"{last.model} is answering"
    figures = last.figures.removeprefix(last.model).removeprefix(" · ")
    return " · ".join(part for part in (last.model, figures) if part)
