"""Chat: a conversation's next answer, streamed."""

from __future__ import annotations

from collections.abc import Sequence

from core.tasks.base import Field, Task, Turn, Values, text_of
from core.types import Kind, Message, SamplingParams

MAX_SEED = 2**31 - 1
MAX_STOPS, MAX_STOP_LENGTH = 4, 100  # as many as OpenAI takes


def chat_task(defaults: SamplingParams, context: int, examples: tuple[str, ...] = ()) -> Task:
    """The chat Task for one model: its own sampling defaults, its context length in tokens as the upper bound of an answer."""
    return Task(
        name="chat",
        title="Chat",
        inputs=(
            Field("message", Kind.CHAT, "Message"),
            Field(
                "system", Kind.TEXT, "System prompt", "Tells the model who to be, before the first message.", default="", lines=3
            ),
        ),
        params=sampling_fields(defaults, context),
        output=Kind.TEXT_STREAM,
        prompt=chat_prompt,
        examples=examples,
    )


def chat_prompt(values: Values, turns: Sequence[Turn]) -> list[Message]:
    """The system prompt if there is one, the earlier turns, the new message.

    A turn that got no answer is left out: many chat templates refuse two questions in a row.
    """
    system = str(values["system"])
    messages = [Message("system", system)] if system.strip() else []
    for question, answer in turns:
        if answer:
            messages += [Message("user", question), Message("assistant", answer)]
    return [*messages, Message("user", str(values["message"]))]


def sampling_fields(defaults: SamplingParams, context: int) -> tuple[Field, ...]:
    """The parameters of any Task that writes text, the more common ones first.

    With a model's own `defaults`; `context` in tokens bounds an answer's length.
    """
    return (
        Field("temperature", Kind.NUMBER, "Temperature", "0 always takes the likeliest token; higher is more varied.",
              default=defaults.temperature, minimum=0.0, maximum=2.0, step=0.05),
        Field("max_tokens", Kind.NUMBER, "Maximum answer length", "In tokens; a token is about four characters.",
              default=min(defaults.max_tokens, context // 2), minimum=1, maximum=context - 1, step=1),
        Field("top_p", Kind.NUMBER, "Top-p", "Keeps the likeliest tokens that together reach this probability.",
              default=defaults.top_p, minimum=0.05, maximum=1.0, step=0.05),
        Field("top_k", Kind.NUMBER, "Top-k", "Keeps this many of the likeliest tokens; 0 keeps all.",
              default=defaults.top_k, minimum=0, maximum=200, step=1),
        Field("min_p", Kind.NUMBER, "Min-p", "Drops tokens below this share of the likeliest one's probability; 0 drops none.",
              default=defaults.min_p, minimum=0.0, maximum=1.0, step=0.01),
        Field("repetition_penalty", Kind.NUMBER, "Repetition penalty", "Above 1, words that were used become less likely.",
              default=defaults.repetition_penalty, minimum=1.0, maximum=2.0, step=0.05),
        Field("seed", Kind.NUMBER, "Seed", "The same seed gives the same answer; empty draws a new one each time.",
              minimum=0, maximum=MAX_SEED, step=1, optional=True),
        Field("stop", Kind.TEXT, "Stop strings",
              rf"The answer ends before the first of these. One a line, at most {MAX_STOPS}; \n stands for a line break.",
              default=text_of(defaults.stop), lines=2, max_items=MAX_STOPS, max_length=MAX_STOP_LENGTH),
    )  # fmt: skip
