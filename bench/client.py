"""Plays a plan to a server over HTTP, from this process: one connection for each request, read as plainly as can be.

A client library's own work would take from the two cores what the server is measured on; this one costs some 20 µs a line.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bench.plan import Answer, Outcome, Plan, Talk

Headers = dict[str, str]


class Refused(Exception):
    """The server answered with another status than 200."""


@dataclass(frozen=True, slots=True)
class OpenAI:
    """`POST /v1/chat/completions`, streamed. `tokens[user]` is each user's bearer token, if the server wants one."""

    url: str
    model: str
    tokens: list[str] = field(default_factory=list)

    async def texts(self, user: int, turns: list[str], new_tokens: int) -> AsyncIterator[str]:
        messages = [{"role": "assistant" if index % 2 else "user", "content": text} for index, text in enumerate(turns)]
        body = {"model": self.model, "messages": messages, "max_tokens": new_tokens, "temperature": 0, "stream": True}
        headers = {"authorization": f"Bearer {self.tokens[user]}"} if self.tokens else {}
        async for data in lines(self.url, "/v1/chat/completions", body, headers):
            if data == "[DONE]":
                return
            event = json.loads(data)
            if "error" in event:
                raise Refused(str(event["error"])[:200])
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""


@dataclass(frozen=True, slots=True)
class Gradio:
    """Gradio's own two calls: one that joins the queue, one that streams the answer, its whole text in each event."""

    url: str

    async def texts(self, user: int, turns: list[str], new_tokens: int) -> AsyncIterator[str]:
        (message,) = turns  # a conversation would need a session's state
        joined = [line async for line in lines(self.url, "/gradio_api/call/chat", {"data": [message]}, {}, prefix="{")]
        known, text = 0, ""
        async for data in lines(self.url, f"/gradio_api/call/chat/{json.loads('{' + joined[0])['event_id']}", None, {}):
            found: Any = json.loads(data)
            if not isinstance(found, list):
                if found:
                    raise Refused(str(found)[:200])
                continue
            text = str(found[0])
            yield text[known:]
            known = len(text)


async def lines(url: str, path: str, body: Any, headers: Headers, prefix: str = "data: ") -> AsyncIterator[str]:
    """What follows `prefix` in each such line of the answer to a GET, or to a POST of `body` as JSON. Raises Refused.

    Chunk sizes are lines of their own and have no prefix: these servers send whole lines in each chunk.
    """
    address = urlsplit(url)
    content = json.dumps(body).encode() if body is not None else b""
    given = {
        "host": address.netloc, "connection": "close", "content-type": "application/json", "content-length": str(len(content)),
        **headers,
    }  # fmt: skip
    head = f"{'POST' if content else 'GET'} {path} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in given.items()
    )
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**20)
    try:
        writer.write(head.encode() + b"\r\n" + content)
        status = (await reader.readline()).split()
        if status[1:2] != [b"200"]:
            raise Refused(f"{b' '.join(status).decode()}: {(await reader.read(2000)).decode()[-300:]}")
        begin = prefix.encode()
        while line := await reader.readline():
            if line.startswith(begin):
                yield line[len(begin) :].decode().strip()
    finally:
        writer.close()


Server = OpenAI | Gradio


def drive(plan: Plan, server: Server) -> Outcome:
    """As bench.drive.drive, over HTTP; times are the client's."""
    answers: list[Answer] = []
    start = time.perf_counter()

    def clock() -> float:
        return time.perf_counter() - start

    async def user(arrival: float, number: int) -> None:
        await asyncio.sleep(arrival - clock())
        talk = Talk(plan, number)
        while (turns := talk.next()) is not None:
            answer = Answer(number, talk.turn, clock())
            answers.append(answer)
            await read(server, answer, turns, plan.new_tokens, clock)
            talk.heard(answer.text)
            if answer.error:
                talk.give_up()

    async def everyone() -> bool:
        tasks = [asyncio.create_task(user(*arrival)) for arrival in plan.arrivals()]
        _, left = await asyncio.wait(tasks, timeout=plan.cap_s)
        for task in left:
            task.cancel()
        return bool(left)

    capped = asyncio.run(everyone())
    return Outcome(answers, min(clock(), plan.cap_s) if capped else clock(), capped)


async def read(server: Server, answer: Answer, turns: list[str], new_tokens: int, clock: Callable[[], float]) -> None:
    try:
        async for text in server.texts(answer.user, turns, new_tokens):
            answer.add(text, clock())
    except (OSError, ValueError, LookupError, Refused) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.done = clock()
