"""A server on loopback whose every byte a test decides, for what speaks OpenAI's API to it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

DONE = "[DONE]"


@dataclass
class Call:
    """One request to it, and the line back. `gone` is set when the caller has hung up."""

    line: str
    headers: dict[str, str]
    body: Any
    writer: asyncio.StreamWriter
    connection: int
    gone: threading.Event = field(default_factory=threading.Event)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: Any, *headers: str) -> None:
        """A whole response; `body` is sent as JSON unless it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Whatever", "content-type: application/json", f"content-length: {len(data)}", *headers]
        await self.send("\r\n".join([*lines, "", ""]).encode() + data)

    async def begin(self, kind: str = "text/event-stream") -> None:
        """The head of a stream."""
        await self.send(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    async def raw(self, data: bytes) -> None:
        """A piece of the stream's body."""
        await self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, data: Any) -> None:
        await self.raw(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode())

    async def say(self, *texts: str, reason: str | None = None) -> None:
        """A chunk for each text, and one with the reason."""
        for text in texts:
            await self.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
        if reason:
            await self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")


Script = Callable[[Call], Awaitable[None]]


def answering(status: int, body: Any, *headers: str) -> Script:
    """A script: this response, whatever was asked."""

    async def script(call: Call) -> None:
        await call.answer(status, body, *headers)

    return script


class OpenAIServer:
    """Use it `with`. `chat` answers chat completions, `models` is what it says of its models: a document, or a script."""

    def __init__(self, chat: Script | None = None, models: Any = None, tls: ssl.SSLContext | None = None) -> None:
        self.chat, self.models = chat, models or {"object": "list", "data": [{"id": "small", "object": "model"}]}
        self.calls: list[Call] = []
        self.errors: list[BaseException] = []
        self._connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}/v1"
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()], daemon=True)

    @property
    def asked(self) -> list[Call]:
        """The calls for a chat completion."""
        return [call for call in self.calls if call.line.startswith("POST /v1/chat/completions ")]

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, sock=self._listening, ssl=self._tls)
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        first: Any
        number, first = self._connections, b""  # the start of a next request
        try:
            while call := await _read(first, reader, writer, number):
                self.calls.append(call)
                answering = asyncio.ensure_future(self._answer(call))
                watching = asyncio.ensure_future(reader.read(1))  # nothing comes while it is answered, but the end
                await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() and watching.done():
                    answering.cancel()
                watching.cancel()
                said, first = await asyncio.gather(answering, watching, return_exceptions=True)
                if not isinstance(first, asyncio.CancelledError | bytes) or first == b"" or isinstance(said, ConnectionError):
                    call.gone.set()
                    break
                if isinstance(said, BaseException):
                    raise said
                first = first if isinstance(first, bytes) else b""
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller has left, or the test is over
        except Exception as error:
            self.errors.append(error)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, call: Call) -> None:
        if call.line.startswith("POST") and self.chat:
            await self.chat(call)
        elif callable(self.models):
            await self.models(call)
        else:
            await call.answer(200, self.models)

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=10)
        self._loop.close()
        assert not self.errors, self.errors


async def _read(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> Call | None:
    try:
        head = first + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):  # nothing more on this connection
        return None
    line, *fields = head.decode().rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Call(line, headers, json.loads(body) if body else None, writer, number)
