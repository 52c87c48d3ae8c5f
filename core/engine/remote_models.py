"""The server that a remote engine asks: its address and key, checked, and which models it has."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from core.addresses import clean_api, clean_api_key, is_private_url
from core.errors import ModelError
from core.types import ModelInfo

CONNECT_S, MODELS_S = 10.0, 20.0
MAX_MODELS_BYTES = 5_000_000
MAX_NAME, MAX_QUOTE = 200, 400  # characters
MIN_SECRET = 6  # a shorter key, or "EMPTY", is no secret, and may be a word
# How servers name the context length, in tokens: vLLM and SGLang, LM Studio, OpenRouter, Groq; in "meta": llama.cpp.
CONTEXT = ("max_model_len", "max_context_length", "context_length", "context_window")
META_CONTEXT = ("n_ctx", "n_ctx_train")
DEFAULT_CONTEXT = 4096  # where a server does not say
KEY_HELP = "Set its key with PORTICO_ENGINE_KEY."


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server. `url` has no slash at its end; the key is in no repr."""

    url: str
    api_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, api_key: str) -> Server:
        """Raises ModelError for an address or a key that must not be used."""
        try:
            clean = clean_api(url)
        except ValueError as error:
            raise ModelError(f"--engine: {error}.") from None
        try:
            return cls(clean, clean_api_key(api_key, clean))
        except ValueError as error:
            raise ModelError(f"PORTICO_ENGINE_KEY: {error}.") from None

    def options(self) -> dict[str, Any]:
        """What an httpx2 client for it is made with."""
        headers = {"accept-encoding": "identity"}  # unpacking could make much of little
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        # As sign-in does: by the proxy that the environment names, but to a private network directly.
        return {"headers": headers, "verify": _trust(), "trust_env": not is_private_url(self.url)}

    def quote(self, text: str) -> str:
        """What the server said, fit for a screen or a log: one printable line, not too long, and without the key."""
        hidden = text.replace(self.api_key, "[key]") if len(self.api_key) >= MIN_SECRET else text
        line = " ".join("".join(char if char.isprintable() else " " for char in hidden).split())
        return line if len(line) <= MAX_QUOTE else line[: MAX_QUOTE - 1] + "…"


def list_models(url: str, api_key: str, wanted: Collection[str] = (), patience_s: float = MODELS_S) -> list[ModelInfo]:
    """The models that the server at `url` has, in its own order; those of `wanted` alone, in that order, if it names any.

    `url` is what stands before /models and /chat/completions. Raises ModelError, after `patience_s` and the time to
    connect at the latest.
    """
    server = Server.of(url, api_key)
    found = {info.name: info for info in _read(server, _get(server, patience_s))}
    if not found:
        raise ModelError(f"The engine at {server.url} serves no model. Load one there first.")
    for name in wanted:
        if name not in found:
            names = ", ".join(repr(one) for one in list(found)[:20])
            raise ModelError(f"The engine at {server.url} does not serve {name!r}; --model can be one of: {names}.")
    return [found[name] for name in wanted] or list(found.values())


def why(error: Exception) -> str:
    """In words, why no answer came."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "what answers there speaks no https"
        if isinstance(cause, ConnectionRefusedError):
            return "nobody listens there"
        if isinstance(cause, OSError) and type(cause).__name__ == "gaierror":
            return "there is no host of this name"
    if any(isinstance(cause, TimeoutError | httpx2.TimeoutException) for cause in causes):
        return "it does not answer in time"
    return f"the connection failed ({type(error).__name__})"


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _get(server: Server, patience_s: float) -> bytes:
    deadline = time.monotonic() + patience_s
    try:
        with (
            httpx2.Client(timeout=min(CONNECT_S, patience_s), **server.options()) as client,
            client.stream("GET", f"{server.url}/models") as response,
        ):
            if response.status_code != 200:
                raise ModelError(_status_sentence(server, response.status_code))
            body = b""
            for piece in response.iter_raw():
                body += piece
                if len(body) > MAX_MODELS_BYTES or time.monotonic() > deadline:
                    raise ModelError(f"The engine at {server.url} does not come to an end of its list of models.")
            return body
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:  # ValueError: a host name that cannot be one
        raise ModelError(f"The engine at {server.url} cannot be reached: {why(error)}. Start it, or check --engine.") from None


def _status_sentence(server: Server, status: int) -> str:
    if status in (401, 403) and server.api_key:
        return f"The engine at {server.url} does not accept the key in PORTICO_ENGINE_KEY (status {status})."
    if status in (401, 403):
        return f"The engine at {server.url} asks for a key. {KEY_HELP}"
    if status in (404, 405):
        return _no_server(server)
    if 300 <= status < 400:
        return f"The engine at {server.url} points to another address. Give --engine that one."
    if status in (429, 502, 503, 504):
        return f"The engine at {server.url} is busy or still starting (status {status}). Try again when it is ready."
    return f"The engine at {server.url} answers with an error (status {status}). Its log may say why."


def _no_server(server: Server) -> str:
    hint = "" if urlsplit(server.url).path.endswith("/v1") else f" Did you mean {server.url}/v1?"
    return f"At {server.url} there is no OpenAI-compatible server: it has no list of models.{hint}"


def _read(server: Server, body: bytes) -> Iterator[ModelInfo]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ModelError(_no_server(server))
    for entry in entries:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= MAX_NAME:
            yield _info(name, entry)


def _info(name: str, entry: dict[str, Any]) -> ModelInfo:
    given = entry.get("meta")
    meta = given if isinstance(given, dict) else {}
    said = [_count(entry.get(key)) for key in CONTEXT] + [_count(meta.get(key)) for key in META_CONTEXT]
    context, parameters = next(filter(None, said), DEFAULT_CONTEXT), _count(meta.get("n_params"))
    return ModelInfo(name, context=context, parameters=parameters, device="remote", dtype="unknown")


def _count(value: Any) -> int:
    """`value` if it can be a number of tokens or parameters, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 2 <= value < 2**53 else 0
