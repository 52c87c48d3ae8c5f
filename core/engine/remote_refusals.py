"""The errors of an OpenAI-compatible server, in sentences for the person who asked. Pure: no I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UserError

LONGEST_RETRY_S = 3600.0
Quote = Callable[[str], str]
OURS = "Tell whoever runs Portico here"
# Not of OpenAI's own API: sent only where they change something. Each with the value that does not, and its name on screen.
EXTRA: Mapping[str, tuple[float, str]] = {
    "top_k": (0, "Top-k"),
    "min_p": (0, "Min-p"),
    "repetition_penalty": (1, "Repetition penalty"),
}
# What OpenAI's and Portico's codes are as a status.
STATUS: Mapping[str, int] = {
    "busy": 429, "rate_limit_exceeded": 429, "context_length_exceeded": 400, "refused": 400, "interrupted": 503,
}  # fmt: skip
TOO_LONG = re.compile(
    r"context[ _](length|size|window)|exceed_context_size|max_new_tokens|maximum (input|prompt|sequence) length"
    r"|(prompt|input|conversation) is too long",
    re.IGNORECASE,
)


class RemoteError(UserError):
    """The server did not answer as it should; `code` is one of core/errors.py, `detail` for the log alone."""

    def __init__(self, message: str, code: str = "internal", detail: str = "") -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


class TooLong(UserError):
    """The conversation and the answer together do not fit the model's context; how long they are only the server knows."""

    code = "context_length_exceeded"

    def __init__(self) -> None:
        super().__init__(
            "This message is longer than the model can read. Shorten it, or lower the maximum answer length to leave more room."
        )


class RemoteBusy(UserError):
    """The server takes no more for now; how many wait there is not known."""

    code = "busy"

    def __init__(self, retry_s: float | None) -> None:
        when = "a minute" if retry_s is None else f"{max(1, math.ceil(retry_s))} s"
        super().__init__(f"The model is busy. Try again in {when}.")
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class Said:
    """What a server says of an error. `status` is an HTTP status, 500 if it names none; `kind` is its type and code.

    `quote` makes the server's words fit for a screen and a log.
    """

    message: str = ""
    param: str = ""
    kind: str = ""
    status: int = 500

    @classmethod
    def of(cls, document: Any, quote: Quote) -> Said:
        """From the JSON that the common servers answer with; OpenAI's form is {"error": {message, type, param, code}}."""
        outer = document if isinstance(document, dict) else {}
        error = outer.get("error")
        given: dict[str, Any] = error if isinstance(error, dict) else outer | ({"message": error} if error else {})
        code = given.get("code")
        kind = f"{given.get('type') or given.get('error_type') or ''} {code or ''}"
        status = code if isinstance(code, int) and 400 <= code < 600 else STATUS.get(str(code), 500)
        message = given.get("message") or given.get("detail") or ""
        return cls(quote(str(message)), str(given.get("param") or ""), kind, status)

    @classmethod
    def read(cls, body: bytes, quote: Quote) -> Said:
        try:
            return cls.of(json.loads(body), quote)
        except (ValueError, RecursionError):
            return cls(quote(body.decode("utf-8", "replace")))


def refusal(status: int, said: Said, retry_after: str | None, sent: Mapping[str, Any] | None = None) -> UserError:
    """The error to show for an answer with `status`; `sent` is what `asking` made, `retry_after` that header."""
    if status == 413 or (status in (400, 422, 500) and TOO_LONG.search(f"{said.kind} {said.message}")):
        return TooLong()
    if status in (400, 422):
        return _wrong_value(said, sent or {})
    if status in (429, 503) and "insufficient_quota" not in said.kind:
        return RemoteBusy(_seconds(retry_after))
    detail = f"status {status} {said.message}"
    if status in (401, 403):
        return RemoteError(f"The model's server does not let Portico in. {OURS} to check PORTICO_ENGINE_KEY.", detail=detail)
    if status == 429:
        return RemoteError(f"Portico's quota at the model's server is used up. {OURS} about it.", detail=detail)
    if status in (404, 405) or 300 <= status < 400:
        return RemoteError(f"The model's server does not have this model any more. {OURS} to check --engine.", detail=detail)
    sentence = "The model's server had an error. Try again; if it comes back, its log has the details."
    return RemoteError(sentence, "interrupted" if status > 500 else "internal", detail)


def _wrong_value(said: Said, sent: Mapping[str, Any]) -> UserError:
    for name, (neutral, label) in EXTRA.items():
        if name in sent and (said.param == name or re.search(rf"\b{name}\b", said.message)):
            sentence = f"The model's server does not take this {label}. Set {label} back to {neutral:g} and ask again."
            return RemoteError(sentence, "refused", detail=said.message)
    return RemoteError(f"The model's server refused this: {said.message or 'it does not say why.'}", "refused")


def _seconds(retry_after: str | None) -> float | None:
    try:
        seconds = float(retry_after or "")
    except ValueError:  # a date, or nothing
        return None
    return min(seconds, LONGEST_RETRY_S) if seconds >= 0 else None


def broken_off(detail: str = "its stream ended in the middle") -> RemoteError:
    sentence = "The model's server broke off before the answer was complete. Try again for a whole one."
    return RemoteError(sentence, "interrupted", detail)


def garbled() -> RemoteError:
    return RemoteError(f"The model's server answered with something that is no chat completion. {OURS} to check --engine.")
