"""What a program is told when something cannot be done, in OpenAI's shape: {"error": {message, type, param, code}}."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse

from core.errors import BadInput, UserError
from core.types import Failed

BUSY_S, LOADING_S = 10, 5

# By the code of core/errors.py: the HTTP status, OpenAI's type, and in how many seconds it may be worth trying again.
KINDS: dict[str, tuple[int, str, int | None]] = {
    "refused": (400, "invalid_request_error", None),
    "context_length_exceeded": (400, "invalid_request_error", None),
    "busy": (429, "rate_limit_error", BUSY_S),
    "quota_used": (429, "insufficient_quota", None),
    "interrupted": (503, "server_error", BUSY_S),
    "model_not_found": (404, "invalid_request_error", None),
    "internal": (500, "server_error", None),
}


class ApiError(Exception):
    """Ends a request. `param` is the value that is wrong, by its name in the request."""

    def __init__(
        self, status: int, message: str, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None,
        retry_after: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def response(self) -> JSONResponse:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None
        return JSONResponse(self.body, self.status, headers)


def loading() -> ApiError:
    message = "The model is still loading. Try again in a few seconds."
    return ApiError(503, message, "server_error", code="model_loading", retry_after=LOADING_S)


def unknown_model(name: str, served: Sequence[str]) -> ApiError:
    message = f"There is no model {name[:200]!r} here; this server runs {either(served)}."
    return ApiError(404, message, param="model", code="model_not_found")


def either(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def of_failed(failed: Failed) -> ApiError:
    """For a run that ended badly."""
    param = "messages" if failed.code == "context_length_exceeded" else None
    return _of(failed.code, failed.message, param, failed.retry_s)


def of_refusal(error: UserError, names: dict[str, Any]) -> ApiError:
    """For what core refused; `names` are what the request called the fields whose names core uses."""
    param = str(names.get(error.field, error.field)) if isinstance(error, BadInput) else None
    return _of(error.code, error.message, param, error.retry_s)


def _of(code: str, message: str, param: str | None, retry_s: float | None) -> ApiError:
    status, kind, retry_after = KINDS.get(code, KINDS["refused"])
    if retry_s is not None:  # as the message says it
        retry_after = max(1, math.ceil(retry_s))
    return ApiError(status, message, kind, param, None if code == "refused" else code, retry_after)
