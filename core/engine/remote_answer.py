"""What is sent to an OpenAI-compatible server, and what its answers mean. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from core.engine.remote_refusals import EXTRA, Quote, RemoteError, Said, broken_off, garbled, refusal
from core.types import FinishReason, Message, SamplingParams

MAX_LINE, MAX_TEXT = 1_000_000, 10_000_000  # bytes of the stream, characters of the answer
MAX_TOKENS = 2**31  # in a count that is believed


def asking(model: str, messages: Sequence[Message], params: SamplingParams) -> dict[str, Any]:
    """The JSON of a streamed chat completion."""
    extra = {name: getattr(params, name) for name, (neutral, _) in EXTRA.items() if getattr(params, name) != neutral}
    return {
        "model": model, "messages": [{"role": one.role, "content": one.content} for one in messages],
        "stream": True, "stream_options": {"include_usage": True}, "temperature": params.temperature, "top_p": params.top_p,
        "max_tokens": params.max_tokens, **({"seed": params.seed} if params.seed is not None else {}),
        **({"stop": list(params.stop)} if params.stop else {}), **extra,
    }  # fmt: skip


def without_oldest(messages: Sequence[Message]) -> tuple[Message, ...] | None:
    """Without the oldest quarter of the turns before the last message; None if there are none. The system prompt stays."""
    system = [one for one in messages if one.role == "system"]
    turns = [one for one in messages if one.role != "system"]
    if len(turns) < 2:
        return None
    rest = turns[max(1, len(turns) // 4) :]
    while len(rest) > 1 and rest[0].role != "user":  # many chat templates ask for a question first
        rest = rest[1:]
    return (*system, *rest)


class Answer:
    """A stream of chat completion chunks (server-sent events; HTML Living Standard, 9.2), read as it comes.

    `tokens` is what the server counted, or until it says so how many pieces came; thoughts are counted and not shown.
    """

    def __init__(self, quote: Quote = str) -> None:
        self._quote = quote
        self.reason: FinishReason | None = None
        self.done = False
        self.prompt_tokens = self.tokens = self._length = 0
        self._counted = False
        self._line = bytearray()

    def feed(self, piece: bytes) -> Iterator[str]:
        """The text in `piece`, chunk by chunk, "" for a token that shows none. Raises UserError for what is no such stream."""
        *ended, rest = piece.split(b"\n")
        for end in ended:
            self._line += end
            line = bytes(self._line)
            self._line.clear()
            if len(line) > MAX_LINE:
                raise garbled()
            if line.startswith(b"data:") and not self.done:
                yield from self._chunk(line[5:].strip())
        self._line += rest
        if len(self._line) > MAX_LINE:
            raise garbled()

    def _chunk(self, data: bytes) -> Iterator[str]:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = json.loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise garbled() from None
        if not isinstance(chunk, dict):
            raise garbled()
        if chunk.get("error") or chunk.get("object") == "error":
            said = Said.of(chunk, self._quote)
            raise refusal(said.status, said, None)
        self._count(chunk.get("usage"))
        choices = chunk.get("choices")
        if choices:  # the chunk with the usage has none
            yield from self._choice(choices[0] if isinstance(choices, list) else None)

    def _choice(self, choice: Any) -> Iterator[str]:
        delta = choice.get("delta") or {} if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            raise garbled()
        content = delta.get("content") or ""
        if not isinstance(content, str):
            raise garbled()
        # Without what no database stores: NUL (PostgreSQL) and halves of a character.
        text = content.replace("\0", "").encode("utf-8", "ignore").decode()
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise RemoteError("The answer does not come to an end. Lower the maximum answer length.")
        if text or delta.get("reasoning_content") or delta.get("reasoning"):
            self.tokens += 0 if self._counted else 1
            yield text
        if choice.get("finish_reason"):
            self._end(str(choice["finish_reason"]))

    def _end(self, reason: str) -> None:
        if reason in ("abort", "error"):  # the server gave it up: vLLM, SGLang, OpenRouter
            raise broken_off()
        self.reason = "length" if reason == "length" else "stop"

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        prompt, tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(tokens, int) and 0 <= prompt < MAX_TOKENS and 0 <= tokens < MAX_TOKENS:
            self.prompt_tokens, self.tokens, self._counted = prompt, tokens, True
