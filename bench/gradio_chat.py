"""Row (c): Gradio's own ChatInterface over a model, with its default queue, as its documentation shows for a streamed answer.

`python -m bench.gradio_chat FOLDER DEVICE` prints its address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.contestant import load
from bench.plan import NEW_TOKENS
from bench.serial import stream


def main() -> None:
    import gradio as gr

    model, tokenizer = load(Path(sys.argv[1]), sys.argv[2])

    def answer(message: str, history: Any) -> Iterator[str]:
        text = ""
        for piece in stream(model, tokenizer, [message], NEW_TOKENS):
            text += piece
            yield text

    demo = gr.ChatInterface(answer, api_name="chat", save_history=False)
    _, url, _ = demo.queue().launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    print(f"on {url.rstrip('/')}", flush=True)
    demo.block_thread()


if __name__ == "__main__":
    main()
