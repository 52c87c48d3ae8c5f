"""What the scheduler decided, computed with torch. The only file of core, with models.py, that knows tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.engine.scheduler import Step
from core.errors import ModelError, PromptTooLong, UserError
from core.types import Message, ModelInfo, SamplingParams

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.generation.logits_process import LogitsProcessorList

Decode = Callable[[int], str]


class Runner(Protocol):
    """Computes steps. Tests pass one that plays a script; everything above it is the same."""

    model: ModelInfo
    eos: frozenset[int]

    def encode(self, messages: Sequence[Message], room: int) -> list[int]:
        """The prompt's token ids, at most `context - room` of them, oldest turns dropped first; raises PromptTooLong."""

    def decoder(self) -> Decode:
        """A function from the next token to the text that it completes, which may be empty."""

    def run(self, steps: Sequence[Step]) -> list[int | None]:
        """Compute `steps`: the sampled token for each that samples, None for each other."""

    def release(self, sequence_id: str) -> None:
        """Let go of what is held for a sequence that has ended."""


class TransformersRunner:
    """One copy of a Transformers model; each sequence has its own key-value cache."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, info: ModelInfo) -> None:
        self.model, self._model, self._tokenizer = info, model, tokenizer
        self.eos = end_tokens(model, tokenizer)
        self._states: dict[str, _State] = {}

    def encode(self, messages: Sequence[Message], room: int) -> list[int]:
        limit = self.model.context - room
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
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(skip_special_tokens=True)
        backend = self._tokenizer.backend_tokenizer
        return lambda token: stream.step(backend, token) or ""

    def run(self, steps: Sequence[Step]) -> list[int | None]:
        import torch

        with torch.inference_mode():
            return [self._run(step) for step in steps]

    def _run(self, step: Step) -> int | None:
        import torch

        state = self._states.get(step.sequence.id)
        if state is None:
            state = self._states[step.sequence.id] = _State(step.sequence.params, self._model.device)
        ids = torch.tensor([step.tokens], device=self._model.device)
        output = self._model(input_ids=ids, past_key_values=state.cache, use_cache=True)
        state.cache = output.past_key_values
        if state.cache is None:
            raise ModelError(
                f"{self.model.name} keeps no key-value cache; Portico cannot stream from it yet. Choose another model."
            )
        if not step.samples:
            return None
        history = step.sequence.prompt + step.sequence.generated
        return state.sample(output.logits[0, -1:].float(), torch.tensor([history], device=self._model.device))

    def release(self, sequence_id: str) -> None:
        self._states.pop(sequence_id, None)


class _State:
    """One sequence's cache and its own random generator: its seed gives its answer, whatever else runs."""

    def __init__(self, params: SamplingParams, device: torch.device) -> None:
        import torch

        self.cache: Any = None
        self._greedy = params.temperature == 0
        self._process = logits_processors(params)
        self._generator = torch.Generator(device=device)
        if params.seed is not None:
            self._generator.manual_seed(params.seed)

    def sample(self, logits: torch.Tensor, history: torch.Tensor) -> int:
        """The next token from `logits` [1, vocabulary] after `history` [1, length]."""
        import torch

        scores = self._process(history, logits)
        if self._greedy:
            return int(scores.argmax())
        return int(torch.multinomial(torch.softmax(scores, dim=-1), 1, generator=self._generator))


def logits_processors(params: SamplingParams) -> LogitsProcessorList:
    """Transformers' own processors in the order `generate` applies them: penalty, temperature, top-k, top-p."""
    from transformers.generation import logits_process as lp

    processors = lp.LogitsProcessorList()
    if params.repetition_penalty != 1:
        processors.append(lp.RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.temperature > 0:
        if params.temperature != 1:
            processors.append(lp.TemperatureLogitsWarper(params.temperature))
        if params.top_k:
            processors.append(lp.TopKLogitsWarper(params.top_k))
        if params.top_p < 1:
            processors.append(lp.TopPLogitsWarper(params.top_p))
    return processors


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every end-of-sequence id that the generation config, the config or the tokenizer names."""
    found: set[int] = set()
    for value in (model.generation_config and model.generation_config.eos_token_id, tokenizer.eos_token_id):
        found |= set(value if isinstance(value, list) else [value])
    return frozenset(found - {None})
