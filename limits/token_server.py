"""The lab's model: a server with OpenAI's API, in a process of its own, that says numbers at a known pace and writes down when.

`python -m limits.token_server [--port P]` starts it; `with TokenServer() as tokens:` does so from the lab and the tests.

What it says depends on the last user message: "count to 300 at 50" gives "1 2 3 ... 300 ", each number with its space a token, 50
a second (also without "at"); "fail after 20" counts to 20 and then breaks as a crashed model does; "table" gives the Markdown of
limits/control/table.md; anything else is echoed. A word such as mark-a1b2 in the message names the answer in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx

from limits.stream import Stream

MODEL = "tokens"
TOKENS_A_SECOND = 50.0
CONTROL = Path(__file__).parent / "control"
How = Literal["finished", "left", "failed"]


@dataclass(slots=True)
class Said:
    """One answer: when each of its tokens was written (seconds since 1970; the first is 1), and how and when it ended."""

    times: dict[int, float] = field(default_factory=dict)
    ended: tuple[How, float] | None = None


class TokenServer:
    """The server as a process; use it `with`. Its clock is time.time(), as Date.now() is in a page on this machine."""

    def __init__(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "limits.token_server", "--port", str(port)],
            cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # it listens by now; its end if it died
        self.process.stdout.close()
        if not line:
            raise RuntimeError(f"The token server ended at its start with {self.process.wait()}.")
        self.port = int(line)
        at = f"http://127.0.0.1:{self.port}/"
        self.url = f"{at}v1"
        self._client = httpx.Client(base_url=at, timeout=10, trust_env=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def times(self, mark: str) -> dict[int, float]:
        """When each token of the newest answer to a message with `mark` was written; empty while none was."""
        answers = self._answers(mark)
        return {int(number): at for number, at in answers[-1]["times"].items()} if answers else {}

    def ended(self, mark: str) -> tuple[How, float] | None:
        """How and when the newest answer to `mark` ended, None while it goes on. "left": the client went away."""
        answers = self._answers(mark)
        how, at = (answers[-1]["ended"] if answers else None) or (None, 0.0)
        return (how, at) if how else None

    def asked(self, mark: str) -> int:
        """How often a message with `mark` was asked: a regenerated or repeated answer counts again."""
        return len(self._answers(mark))

    def _answers(self, mark: str) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self._client.get(f"log/{mark}").raise_for_status().json()
        return answers

    def close(self) -> None:
        self._client.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> TokenServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def last_message(asked: dict[str, Any]) -> str:
    """What the person said last; its texts in a row where it is a list of parts."""
    content = next((one.get("content") for one in reversed(asked["messages"]) if one["role"] == "user"), "")
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content or [])


def script(message: str) -> tuple[list[str], float, bool]:
    """The tokens that answer `message`, how many a second, and whether it breaks after them."""
    at = re.search(r"\bat (\d+)", message)
    rate = max(float(at[1]), 0.1) if at else TOKENS_A_SECOND
    if found := re.search(r"\b(count to|fail after) (\d+)", message, re.IGNORECASE):
        return [f"{number} " for number in range(1, int(found[2]) + 1)], rate, found[1].lower() == "fail after"
    if re.search(r"\btable\b", message, re.IGNORECASE):
        return re.findall(r"\S+\s*", (CONTROL / "table.md").read_text(encoding="utf-8")), rate, False
    words = re.sub(r"^\s*echo\s+", "", message, flags=re.IGNORECASE)
    return ["You ", "said: ", *re.findall(r"\S+\s*", words)], rate, False


async def speak(tokens: list[str], rate: float, fails: bool, said: Said) -> AsyncGenerator[bytes, None]:
    """The answer as chat completion chunks; the time of each token is taken as it is handed to the socket."""
    begun = time.monotonic()
    try:
        for number, token in enumerate(tokens, 1):
            await asyncio.sleep(max(0.0, begun + (number - 1) / rate - time.monotonic()))
            said.times[number] = time.time()
            yield _event({"choices": [{"index": 0, "delta": {"content": token}, "finish_reason": None}]})
        said.ended = "failed" if fails else "finished", time.time()
    finally:
        said.ended = said.ended or ("left", time.time())
    if fails:
        yield _event({"error": {"message": "The model crashed.", "type": "server_error", "code": 500}})
        await asyncio.sleep(0.1)  # a connection that breaks takes along what a browser has not read yet
        raise ConnectionAbortedError
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": MODEL, **chunk}
    return f"data: {json.dumps(whole)}\n\n".encode()


def create_app() -> Any:
    """The model, and its log at /log/MARK."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    log: dict[str, list[Said]] = {}

    async def complete(request: Request) -> Any:
        message = last_message(await request.json())
        tokens, rate, fails = script(message)
        said = Said()
        for mark in re.findall(r"\bmark-[\w-]+", message):
            log.setdefault(mark, []).append(said)
        return Stream(speak(tokens, rate, fails, said))

    async def read_log(request: Request) -> JSONResponse:
        return JSONResponse([{"times": one.times, "ended": one.ended} for one in log.get(request.path_params["mark"], [])])

    async def models(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 1_000_000}]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
            Route("/log/{mark}", read_log),
        ]
    )


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description="The lab's model: OpenAI's API on loopback.")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0 takes a free one")
    listening = socket.create_server(("127.0.0.1", parser.parse_args().port))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(create_app(), log_level="critical", timeout_graceful_shutdown=1, lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
