"""How each server of the comparison is started: Gradio, `transformers serve`, Portico."""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.client import Gradio, OpenAI
from bench.contestants import Served, free_port

# Transformers' continuous batching, for rows (d), (t) and (T): left to itself it takes 60 % of the free memory.
PAGE, BATCH_TOKENS, BATCH_REQUESTS = 64, 512, 64
BLOCKS = 320  # 64 requests of 256 + 64 tokens: nothing is ever evicted


def gradio(folder: Path, device: str, log: Path, threads: int) -> Served:
    """Row (c)."""

    def ready(text: str) -> Gradio | None:
        found = re.search(r"^on (http://\S+)", text, re.MULTILINE)
        return Gradio(found[1]) if found else None

    return Served([sys.executable, "-m", "bench.gradio_chat", str(folder), device], log, ready, threads, device)


def transformers_serve(folder: Path, device: str, log: Path, threads: int) -> Served:
    """Row (d). Its sizes are set, or it takes 60 % of the free memory; the number of requests in a batch has no flag."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--continuous-batching", "--device", device,
        "--host", "127.0.0.1", "--port", str(port), "--cb-block-size", str(PAGE), "--cb-num-blocks", str(BLOCKS),
        "--cb-max-batch-tokens", str(BATCH_TOKENS),
    ]  # fmt: skip

    def ready(text: str) -> OpenAI | None:
        return OpenAI(f"http://127.0.0.1:{port}", str(folder)) if "Uvicorn running" in text else None

    return Served(command, log, ready, threads, device)


def portico(folder: Path, device: str, data: Path, log: Path, threads: int, users: int) -> Served:
    """Row (f): `python app.py serve` with both frontends, asked through the guard with a token for each user."""
    command = [sys.executable, "app.py", "serve", "--model", str(folder), "--port", "0", "--data", str(data)]

    def ready(text: str) -> OpenAI | None:
        found = re.search(r"on (http://\S+)", text)
        if found is None or not answers(f"{found[1]}/readyz"):
            return None
        return OpenAI(found[1], folder.name, make_tokens(data, users))

    return Served(command, log, ready, threads, device)


def answers(url: str) -> bool:
    """Whether it says 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (ours, on loopback)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def make_tokens(data: Path, users: int) -> list[str]:
    """An account and an API token for each user, made beside the running server."""
    from auth.sessions import Account, Sessions
    from auth.tokens import Tokens
    from core.database import open_database

    database = open_database(f"sqlite:///{data / 'portico.db'}")
    try:
        accounts = [Account(f"bench-{number}", f"Bench {number}", "member") for number in range(users)]
        for account in accounts:
            Sessions(database).create(account)
        tokens, ends = Tokens(database), datetime.now(UTC) + timedelta(days=1)
        return [tokens.make(account, "bench", ("chat",), ends)[1] for account in accounts]
    finally:
        database.dispose()
