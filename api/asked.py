"""What a chat completion asks for, read from its JSON. Pure: it decides without I/O.

What this server cannot do is refused by name, and never dropped in silence: an answer without the asked-for tool would
look right and be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.errors import ApiError, either, unknown_model
from core.tasks import Values, text_of
from core.types import Message

MOST_MESSAGES = 1000

ROLES: Mapping[str, Any] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty")
WHOLE = ("top_k", "seed", "max_tokens", "max_completion_tokens")
LABELS = ("user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier")  # they change no answer
# Options that other servers have: taken with the values that ask for nothing.
NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,), "logprobs": (False,), "top_logprobs": (0,), "presence_penalty": (0,), "frequency_penalty": (0,),
    "logit_bias": ({},), "response_format": ({"type": "text"},), "tools": ([],), "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False), "functions": ([],), "modalities": (["text"],), "store": (False,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read. `values` are core's, and `names` what the request called them where that differs."""

    messages: tuple[Message, ...]
    values: Values
    stream: bool = False
    include_usage: bool = False
    names: dict[str, str] = field(default_factory=dict)


def read(body: bytes, models: Sequence[str]) -> Asked:
    """The request in `body` to one of this server's `models`. Raises ApiError, which names what is wrong."""
    given = _object(body)
    name = given.pop("model", None)
    if not isinstance(name, str):
        raise _wrong("model", f"Name the model: {either(models)}.")
    if name not in models:
        raise unknown_model(name, models)
    messages = _messages(given.pop("messages", None))
    stream, options = _flag(given, "stream"), given.pop("stream_options", None)
    include_usage = _include_usage(options)
    if options is not None and not stream:
        raise _wrong("stream_options", "stream_options are for a stream alone.")
    values, names = _parameters(given)
    for other, value in given.items():
        if other not in LABELS and value is not None and value not in NOTHING.get(other, ()):
            raise _wrong(
                other, f"This server does not support {other[:100]!r}" + (" with this value." if other in NOTHING else ".")
            )
    return Asked(messages, {**values, "model": name}, stream, include_usage, names)


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is no JSON. Send an object with at least model and messages.") from None
    if not isinstance(given, dict):
        raise ApiError(400, "The body must be a JSON object with at least model and messages.")
    return given


def _no_number(constant: str) -> Any:
    raise ValueError(constant)  # Infinity and NaN are Python's, not JSON's


def _messages(given: Any) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise _wrong("messages", "messages must be a list of at least one message.")
    if len(given) > MOST_MESSAGES:
        raise _wrong("messages", f"There are {len(given):,} messages, and {MOST_MESSAGES:,} are the most.")
    return tuple(_message(one, f"messages[{index}]") for index, one in enumerate(given))


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, dict):
        raise _wrong(where, "A message must be an object with role and content.")
    role = given.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise _wrong(f"{where}.role", f"The role must be one of {', '.join(ROLES)}.")
    for name, value in given.items():
        if name not in ("role", "content") and value not in (
            None,
            [],
            "",
        ):  # clients hand back answers with all their empty fields
            raise _wrong(f"{where}.{name[:100]}", f"This server does not support {name[:100]!r} in a message.")
    return Message(ROLES[role], _content(given.get("content"), f"{where}.content"))


def _content(given: Any, where: str) -> str:
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise _wrong(where, "The content must be text, or a list of parts of text.")
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in given]
    if not all(isinstance(text, str) for text in texts):
        raise _wrong(where, "This model reads text alone: each part must have the type 'text'.")
    return "\n".join(map(str, texts))


def _parameters(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Taken out of `given`: core's values for what is not null, and the names by which the request gave them."""
    values = {name: given.pop(name) for name in (*NUMBERS, *WHOLE) if given.get(name) is not None}
    for name, value in values.items():
        kind = "a whole number" if name in WHOLE else "a number"
        if isinstance(value, bool) or not isinstance(value, int | (int if name in WHOLE else float)):
            raise _wrong(name, f"{name} must be {kind}.")
    if values.get("top_k") == -1:  # vLLM's word for all
        values["top_k"] = 0
    if stops := _stops(given.pop("stop", None)):
        values["stop"] = text_of(stops)
    newer = values.pop("max_completion_tokens", None)
    if newer is None:
        return values, {"message": "messages"}
    if values.get("max_tokens", newer) != newer:
        raise _wrong("max_tokens", "max_tokens is the old name of max_completion_tokens: give one of them.")
    return values | {"max_tokens": newer}, {"message": "messages", "max_tokens": "max_completion_tokens"}


def _stops(given: Any) -> list[str]:
    stops = [] if given in (None, "") else [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise _wrong("stop", "stop must be a text, or a list of texts.")
    if any(not stop.replace("\n", "n").strip() for stop in stops):
        raise _wrong("stop", "A stop string must have more to it than blanks.")
    return stops


def _include_usage(options: Any) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict) or set(options) - {"include_usage"}:
        raise _wrong("stream_options", "Of stream_options there is include_usage alone.")
    return _flag(options, "include_usage", "stream_options.include_usage")


def _flag(given: dict[str, Any], name: str, where: str = "") -> bool:
    value = given.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise _wrong(where or name, f"{name} must be true or false.")
    return bool(value)


def _wrong(param: str, message: str) -> ApiError:
    return ApiError(400, message, param=param)
