"""The routes under /v1, as data. The guard (auth/middleware.py) lets nobody in here but who holds a good token."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.asked import read
from api.completion import CLIENT_GONE, Completion
from api.errors import ApiError, loading, of_failed, of_refusal, unknown_model
from core.errors import UserError, screen_message
from core.service import InferenceService
from core.types import Failed, User

MAX_BODY = 1_000_000  # bytes
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
SCOPES = {"chat": "ask the model", "models": "list the models"}

Handler = Callable[[Request], Awaitable[Response]]


def api_routes(service: Callable[[], InferenceService | None], user_of: Callable[[Any], User]) -> list[Route]:
    """`service()` is None while the model loads; `user_of(scope)` is who asks, whose token's `scopes` are in the scope's user."""
    started = int(time.time())

    def ready() -> InferenceService:
        if (found := service()) is None:
            raise loading()
        return found

    def described(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "portico"}

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [described(one.name) for one in ready().models]})

    async def model(request: Request) -> Response:
        name, served = request.path_params["name"], [one.name for one in ready().models]
        if name not in served:
            raise unknown_model(name, served)
        return JSONResponse(described(name))

    async def chat(request: Request) -> Response:
        door = ready()
        asked = read(await _body(request), [one.name for one in door.models])
        try:
            completion = await Completion.begin(door, user_of(request.scope), asked)
        except UserError as error:
            raise of_refusal(error, asked.names) from None
        return await completion.answer(request)

    async def nothing(request: Request) -> Response:
        raise ApiError(404, f"There is no {request.method} {request.url.path[:200]} here.", code="unknown_url")

    return [
        Route("/v1/models", _route(models, "models")),
        Route("/v1/models/{name:path}", _route(model, "models")),
        Route("/v1/chat/completions", _route(chat, "chat"), methods=["POST"]),
        Route("/v1/{path:path}", _route(nothing), methods=METHODS),
    ]


def _route(handler: Handler, needed: str = "") -> Handler:
    """`handler` for tokens with the scope `needed`; what it raises becomes an answer in OpenAI's shape."""

    async def answered(request: Request) -> Response:
        try:
            if needed and needed not in request.scope["user"].scopes:
                raise _not_allowed(needed)
            return await handler(request)
        except ApiError as error:
            return error.response()
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        except Exception as error:
            return of_failed(Failed(screen_message(error))).response()

    return answered


def _not_allowed(needed: str) -> ApiError:
    message = f"This token may not {SCOPES[needed]}: it lacks the scope {needed!r}. Make one that has it on your account page."
    return ApiError(403, message, "permission_error", code="insufficient_scope")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ApiError(413, f"The body is larger than {MAX_BODY:,} bytes. Send less of the conversation.", code="too_large")
    return bytes(body)
