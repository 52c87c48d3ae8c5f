"""What people do today, in one process: one `generate` after another, or a thread for each request."""

from __future__ import annotations

import queue
import threading
from typing import Any

from bench.drive import Tell
from bench.models import word


class OneAtATime:
    """Row (a): a queue and one thread that calls `generate`, as `pipeline()` behind a queue does.

    A streamer notes when each token came, so that its time to first token is not that of the whole answer: in its favour.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._queue = queue.SimpleQueue[tuple[list[str], int, Tell]]()
        threading.Thread(target=self._loop, daemon=True).start()

    def ask(self, user: int, turns: list[str], new_tokens: int, tell: Tell) -> None:
        self._queue.put((turns, new_tokens, tell))

    def _loop(self) -> None:
        while True:
            turns, new_tokens, tell = self._queue.get()
            try:
                generate(self._model, self._tokenizer, turns, new_tokens, _Teller(tell))
                tell(None, "")
            except Exception as error:
                tell(None, repr(error))


class ThreadEach:
    """Row (b): a thread for each request runs `generate` with a TextIteratorStreamer, which another one reads.

    The streamer holds a word back until the next one begins, so its first text is its second token's.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    def ask(self, user: int, turns: list[str], new_tokens: int, tell: Tell) -> None:
        threading.Thread(target=self._answer, args=(turns, new_tokens, tell), daemon=True).start()

    def _answer(self, turns: list[str], new_tokens: int, tell: Tell) -> None:
        try:
            for text in stream(self._model, self._tokenizer, turns, new_tokens):
                tell(text, "")
            tell(None, "")
        except Exception as error:
            tell(None, repr(error))


def generate(model: Any, tokenizer: Any, turns: list[str], new_tokens: int, streamer: Any) -> None:
    """`new_tokens` greedy tokens after `turns`, user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(turns)]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    model.generate(**inputs.to(model.device), max_new_tokens=new_tokens, do_sample=False, streamer=streamer)


def stream(model: Any, tokenizer: Any, turns: list[str], new_tokens: int) -> Any:
    """The texts of a TextIteratorStreamer, as in Transformers' own documentation."""
    from transformers import TextIteratorStreamer

    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    thread = threading.Thread(target=generate, args=(model, tokenizer, turns, new_tokens, streamer), daemon=True)
    thread.start()
    yield from streamer
    thread.join()


class _Teller:
    """The least streamer there is: tells each token; the first `put` is the prompt."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._prompt = tell, True

    def put(self, value: Any) -> None:
        if self._prompt:
            self._prompt = False
            return
        self._tell("".join(f" {word(token)}" for token in value.flatten().tolist()), "")

    def end(self) -> None:
        pass
