"""Serves a stock app, or the control page, on loopback: `python -m limits.serve_stock gradio|streamlit|control --port P`.

The files in limits/stock run by themselves. Here they are served through the compression and caching that Portico gives its
frontends, so that the bytes on the wire are compared fairly. OPENAI_BASE_URL says where the model is, as for any app of OpenAI's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from limits.stream import Stream
from limits.token_server import CONTROL

STOCK = Path(__file__).parent / "stock"
# No outside host is contacted while something is measured.
os.environ |= {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
}


def gradio() -> Any:
    """As demo.launch() would serve it, but for who listens."""
    import gradio as gr
    from fastapi import FastAPI

    from limits.stock.gradio_chat import demo

    return gr.mount_gradio_app(FastAPI(), demo, path="/", show_error=False)  # launch() shows none either


def streamlit() -> Any:
    import streamlit as st
    from streamlit.web import bootstrap

    bootstrap.load_config_options({"server.headless": True, "browser.gatherUsageStats": False})
    return st.App(STOCK / "streamlit_chat.py")


def control() -> Any:
    """The page, and a way to the model through this process, as the other subjects have it."""
    import httpx
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse
    from starlette.routing import Route

    client = httpx.AsyncClient(timeout=None, trust_env=False)

    async def relay(body: bytes) -> AsyncGenerator[bytes, None]:
        url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
        async with client.stream("POST", url, content=body) as response:
            async for piece in response.aiter_raw():
                yield piece

    async def complete(request: Request) -> Any:
        return Stream(relay(await request.body()))

    async def page(request: Request) -> FileResponse:
        return FileResponse(CONTROL / "index.html")

    return Starlette(routes=[Route("/", page), Route("/v1/chat/completions", complete, methods=["POST"])])


def main() -> None:
    import uvicorn

    from portal.compression import Compression

    apps = {"gradio": gradio, "streamlit": streamlit, "control": control}
    parser = argparse.ArgumentParser(description="Serve a stock app of the limits lab on loopback.")
    parser.add_argument("name", choices=apps)
    parser.add_argument("--port", type=int, required=True, help="the port to listen on")
    given = parser.parse_args()
    app = Compression(apps[given.name]())
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="critical", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
