"""An engine on another machine: any server with OpenAI's API, such as vLLM, SGLang, llama.cpp's, or another Portico."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from core.engine.base import Request
from core.engine.remote_answer import Answer, asking, without_oldest
from core.engine.remote_models import CONNECT_S, Server, list_models, why
from core.engine.remote_refusals import RemoteBusy, RemoteError, Said, TooLong, broken_off, refusal
from core.errors import Busy, Interrupted, Stopping, UserError, failed_of, log
from core.types import Delta, Emit, Event, Finished, FinishReason, Message, ModelInfo, Started, Usage

__all__ = ["Patience", "RemoteEngine", "list_models"]

MOST = 256  # requests at once, a quarter of them one person's; each holds a connection
MAX_REFUSAL = 64_000  # bytes of it that are read
KEEP_S = 2.0  # an idle connection; servers close theirs after 5 s, and a request that meets that moment is lost
LINGER_S = 1.0  # for a stream's end after its last word, so that its connection can be used again
UNREACHED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for the first token (the server's queue counts), for each further one."""

    connect: float = CONNECT_S
    first: float = 600.0
    between: float = 120.0


@dataclass(slots=True, eq=False)
class _Job:
    """A submitted request. Times are of time.monotonic."""

    request: Request
    emit: Emit
    answer: Answer
    submitted: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    started: bool = False
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self.task:
            self.task.cancel()

    @property
    def usage(self) -> Usage:
        now = time.monotonic()
        first = (self.first_token or now) - self.submitted
        return Usage(self.answer.prompt_tokens, self.answer.tokens, first, now - self.submitted)


class RemoteEngine:
    """Asks `model` of the server at `url`. One thread waits for all answers; hanging up is what tells the server to stop."""

    def __init__(self, url: str, api_key: str, model: ModelInfo, patience: Patience = Patience()) -> None:
        self.model = model
        self._server, self._patience = Server.of(url, api_key), patience
        timeouts = httpx2.Timeout(None, connect=patience.connect, pool=patience.connect)
        limits = httpx2.Limits(max_connections=MOST, max_keepalive_connections=MOST, keepalive_expiry=KEEP_S)
        self._client = httpx2.AsyncClient(timeout=timeouts, limits=limits, **self._server.options())
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="remote engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, emit: Emit) -> None:
        with self._lock:
            theirs = sum(job.request.user_id == request.user_id for job in self._jobs.values())
            if self._closed:
                emit(failed_of(Stopping()))
            elif len(self._jobs) >= MOST:
                emit(failed_of(RemoteBusy(None)))
            elif theirs >= MOST // 4:
                emit(failed_of(Busy(theirs, own=True)))
            else:
                job = self._jobs[request.id] = _Job(request, emit, Answer(self._server.quote))
                self._loop.call_soon_threadsafe(self._begin, job)

    @property
    def busy(self) -> int:
        return len(self._jobs)

    def cancel(self, request_id: str) -> None:
        with self._lock:
            if job := self._jobs.get(request_id):
                self._finish(job, "cancelled")
                self._loop.call_soon_threadsafe(job.stop)

    def close(self) -> None:
        with self._lock:
            for job in list(self._jobs.values()):
                self._end(job, failed_of(Interrupted()))
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=1)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._until_closed())
        self._loop.close()  # does not wait for the thread of a slow name server

    async def _until_closed(self) -> None:
        async with self._client:
            await self._stop.wait()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, job: _Job) -> None:
        job.task = self._loop.create_task(self._run(job))  # one that was cancelled meanwhile is stopped before it begins

    async def _run(self, job: _Job) -> None:
        messages: Sequence[Message] = job.request.messages
        try:
            while True:
                try:
                    return await self._ask(job, messages)
                except TooLong:  # only the server can count, so it is asked again with less
                    shorter = without_oldest(messages)
                    if job.first_token or not shorter:
                        raise
                    messages = shorter
        except Exception as error:
            self._fail(job, error)

    async def _ask(self, job: _Job, messages: Sequence[Message]) -> None:
        job.answer = Answer(self._server.quote)
        try:
            async with asyncio.timeout(self._patience.first) as deadline:
                await self._stream(job, asking(self.model.name, messages, job.request.params), deadline)
        except (httpx2.HTTPError, OSError) as error:  # TimeoutError is an OSError
            if job.answer.reason is None:
                raise _trouble(error) from error
        if job.answer.reason is None:
            raise broken_off()
        self._finish(job, job.answer.reason)

    async def _stream(self, job: _Job, body: dict[str, Any], deadline: asyncio.Timeout) -> None:
        async with self._client.stream("POST", f"{self._server.url}/chat/completions", json=body) as response:
            if response.status_code != 200 or not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise await self._refusal(response, body)
            if not job.started:
                job.started = True
                self._tell(job, Started())
            done = False
            async for piece in response.aiter_raw():
                if done:  # only the connection's use is waited for, and not for longer
                    continue
                for text in job.answer.feed(piece):
                    job.first_token = job.first_token or time.monotonic()
                    if text:
                        self._tell(job, Delta(text))
                if done := job.answer.done:
                    self._finish(job, job.answer.reason or "stop")
                wait = LINGER_S if done else self._patience.between if job.first_token else self._patience.first
                deadline.reschedule(self._loop.time() + wait)

    async def _refusal(self, response: httpx2.Response, body: dict[str, Any]) -> UserError:
        said = b""
        async for piece in response.aiter_raw():
            said += piece
            if len(said) > MAX_REFUSAL:
                break
        status = response.status_code if response.status_code != 200 else 500
        return refusal(status, Said.read(said, self._server.quote), response.headers.get("retry-after"), body)

    def _tell(self, job: _Job, event: Event) -> None:
        with self._lock:  # so that nothing follows its end, which another thread may be telling
            if self._jobs.get(job.request.id) is job:
                job.emit(event)

    def _finish(self, job: _Job, reason: FinishReason) -> None:
        self._end(job, Finished(job.usage, reason))

    def _fail(self, job: _Job, error: Exception) -> None:
        if self._jobs.get(job.request.id) is not job:  # it has ended
            return
        if isinstance(error, RemoteError) and error.detail:
            log.warning("the engine at %s: %s", self._server.url, error.detail)
        self._end(job, failed_of(error))

    def _end(self, job: _Job, event: Event) -> None:
        with self._lock:
            if self._jobs.get(job.request.id) is job:
                del self._jobs[job.request.id]
                job.emit(event)


def _trouble(error: Exception) -> RemoteError:
    if isinstance(error, UNREACHED):
        message = "The model's server cannot be reached. Try again in a minute; if that does not help, tell whoever runs it."
    elif isinstance(error, TimeoutError):
        message = "The model's server fell silent before the answer was complete. Try again."
    else:
        return broken_off(why(error))
    return RemoteError(message, "interrupted", why(error))
