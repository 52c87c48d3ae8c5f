"""A chat completion on its way to the program that asked: whole, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.asked import Asked
from api.errors import of_failed
from core.errors import NotFound
from core.runs import Stream
from core.service import InferenceService
from core.store import Run
from core.types import Delta, Event, Failed, Finished, Usage, User

HEARTBEAT_S = 15.0  # proxies close what is silent for longer
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold a stream back
CLIENT_GONE = 499  # nobody reads it; as nginx notes it
CONTENT = b'"content":'
EMPTY = CONTENT + b'""'  # within a JSON string each of its quotes would be escaped


class Completion:
    """One caller's run. Nobody else waits for it, so it ends with its caller: `end` lets go of it and stops it."""

    def __init__(self, service: InferenceService, user: User, run: Run, stream: Stream, asked: Asked) -> None:
        self._service, self._user, self._run, self._stream, self._asked = service, user, run, stream, asked

    @classmethod
    async def begin(cls, service: InferenceService, user: User, asked: Asked) -> Completion:
        """Raises UserError. In a thread, since a long conversation takes its time to tokenize."""
        starting = asyncio.ensure_future(asyncio.to_thread(service.complete, user, "chat", asked.messages, asked.values))
        try:
            run, stream = await asyncio.shield(starting)
        except asyncio.CancelledError:  # the caller left meanwhile, and the thread goes on

            def abandon(started: asyncio.Future[tuple[Run, Stream]]) -> None:
                if not started.cancelled() and started.exception() is None:
                    cls(service, user, *started.result(), asked).end()

            starting.add_done_callback(abandon)
            raise
        return cls(service, user, run, stream, asked)

    def end(self) -> None:
        """Let go of the run; one that has not ended is stopped."""
        if self._stream.over:
            return
        self._stream.close()
        with suppress(NotFound):
            self._service.cancel(self._user, self._run.id)

    async def answer(self, request: Request) -> Response:
        """The response. What is refused at once has its own status, in a stream too."""
        try:
            first = await anext(self._stream)  # within a tenth of a second
            self._stream.idle_s = HEARTBEAT_S
            if isinstance(first, Failed):
                raise of_failed(first)
            if not self._asked.stream:
                return await self._whole(request, first)
        except BaseException:
            self.end()
            raise
        return _EventStream(self, self._events(first))

    def end_with_caller(self, receive: Receive) -> asyncio.Task[None]:
        """A task that ends the run when the caller has left; to be cancelled when all is said."""
        # Not Request.is_disconnected(): a cancellation that arrives within it is lost, and so would be a revoked token.
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: self.end())
        return gone

    async def _whole(self, request: Request, event: Event | None) -> Response:
        texts: list[str] = []
        gone = self.end_with_caller(request.receive)
        try:
            while event is not None and not isinstance(event, Finished):
                if isinstance(event, Failed):
                    raise of_failed(event)
                if isinstance(event, Delta):
                    texts.append(event.text)
                event = await anext(self._stream, None)
        finally:
            gone.cancel()
        if event is None:
            return Response(status_code=CLIENT_GONE)
        message = {"role": "assistant", "content": "".join(texts), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(event)}
        return JSONResponse(self._body("chat.completion", [choice], usage=_usage(event.usage)))

    async def _events(self, event: Event | None) -> AsyncIterator[bytes]:
        """Server-sent events (HTML Living Standard, 9.2), and a comment where there is nothing to say for 15 seconds."""
        yield self._chunk({"role": "assistant", "content": ""})
        # A stream has a dozen pieces of text a second, and all have the same around them.
        before, after = self._chunk({"content": ""}).split(EMPTY)
        while event is not None and not isinstance(event, Finished | Failed):
            if isinstance(event, Delta):
                yield b"".join((before, CONTENT, _json(event.text), after)) if event.text else b": still here\n\n"
            event = await anext(self._stream, None)
        if isinstance(event, Failed):
            yield _data(of_failed(event).body)
        elif event is not None:
            yield self._last(event)

    def _last(self, event: Finished) -> bytes:
        last = self._chunk({}, _reason(event))
        if self._asked.include_usage:
            last += _data(self._body("chat.completion.chunk", [], usage=_usage(event.usage)))
        return last + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        extra = {"usage": None} if self._asked.include_usage else {}
        return _data(self._body("chat.completion.chunk", [choice], **extra))

    def _body(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._run.id}", "object": kind, "created": int(self._run.created_at.timestamp()),
            "model": self._run.model, "system_fingerprint": self._run.revision or None, "choices": choices, **more,
        }  # fmt: skip


class _EventStream(StreamingResponse):
    """Ends its run however it ends itself: the caller has left, their token was revoked, or all is said."""

    def __init__(self, completion: Completion, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=STREAM_HEADERS)
        self._completion = completion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # In this task, with one other beside it: Starlette's own way is a group of two tasks, at three times the cost.
        gone = self._completion.end_with_caller(receive)
        try:
            await self.stream_response(send)
        finally:
            gone.cancel()
            self._completion.end()


async def _disconnected(receive: Receive) -> None:
    """Returns when the caller has left; the body was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _reason(event: Finished) -> str:
    return "length" if event.reason == "length" else "stop"


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.tokens
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.tokens, "total_tokens": total}


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
