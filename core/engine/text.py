"""Between text and tokens: a conversation as a prompt, tokens as text, and where a stop string ends an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.engine.base import Decode
from core.errors import PromptTooLong, UserError
from core.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ChatText:
    """A tokenizer with its chat template. Safe from any thread; `context` is in tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, context: int) -> None:
        self._tokenizer, self._context = tokenizer, context

    def encode(self, messages: Sequence[Message], room: int) -> list[int]:
        """The prompt's token ids, at most `context - room` of them, oldest turns dropped first; raises PromptTooLong."""
        limit = self._context - room
        system = [message for message in messages[:1] if message.role == "system"]
        said = messages[len(system) :]
        ids = self._render(messages)
        fits = ids if len(ids) <= limit else None
        # Else drop the least number of questions from the front, each with its answer, found by halving: to tokenize a long
        # conversation once for each would take as long as the square of its length.
        least, most = 1, 0 if fits else (len(said) - 1) // 2
        while least <= most:
            dropped = (least + most) // 2
            if len(ids := self._render([*system, *said[2 * dropped :]])) <= limit:
                fits, most = ids, dropped - 1
            else:
                least = dropped + 1
        if fits is None:
            raise PromptTooLong(len(self._render([*system, said[-1]])), max(limit, 0))
        return fits

    def _render(self, messages: Sequence[Message]) -> list[int]:
        from jinja2 import TemplateError

        try:
            return list(
                self._tokenizer.apply_chat_template(
                    [{"role": message.role, "content": message.content} for message in messages],
                    add_generation_prompt=True, return_dict=False,
                )
            )  # fmt: skip
        except TemplateError as error:  # some take no system prompt, for one
            raise UserError(f"This model's chat template refuses this: {error}. Try without a system prompt.") from None

    def decoder(self) -> Decode:
        """A function from the next token to the text that it completes, which may be empty."""
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)
        backend = self._tokenizer.backend_tokenizer
        return lambda token: stream.step(backend, token) or ""


class StopStrings:
    """Holds back the end of a growing text for as long as it may be the beginning of one of `stops`."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """What may be shown after `text` came; sets `found` when a stop string has begun and ended, and nothing comes after."""
        if not self._stops or self.found:
            return "" if self.found else text
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        held = max(self._begun(text, stop) for stop in self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What is held back still, once the answer has ended."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _begun(text: str, stop: str) -> int:
        """How many characters at the end of `text` begin `stop`."""
        most = min(len(text), len(stop) - 1)
        return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)
