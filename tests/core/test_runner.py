"""The torch runner on a real, small model, beside Transformers' own `generate`."""

from __future__ import annotations

import collections.abc
import threading
from pathlib import Path

import pytest
import torch

from core.engine.runner import TransformersRunner
from core.engine.scheduler import Scheduler, Sequence
from core.errors import PromptTooLong, UserError
from core.models import find_model, load_model, parse_reference
from core.types import Message, SamplingParams

PROMPTS = ["hi", "the model answers", "a much longer question " * 4]


@pytest.fixture(scope="module")
def runner(chat_model: Path) -> TransformersRunner:
    importing = threading.Lock()
    checked = find_model(parse_reference(str(chat_model)), 8 * 10**9, importing, lambda done, total: None)
    return load_model(checked, importing, lambda done, total: None)


def generate(runner: TransformersRunner, name: str, prompt: list[int], params: SamplingParams, chunk: int = 256) -> list[int]:
    scheduler = Scheduler(prefill_chunk=chunk)
    sequence = Sequence(name, prompt, params, runner.eos)
    scheduler.add(sequence)
    while steps := scheduler.schedule():
        scheduler.postprocess(steps, runner.run(steps))
    runner.release(name)
    return sequence.generated


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("chunk", [256, 5])
def test_greedy_output_is_that_of_generate(runner: TransformersRunner, prompt: str, chunk: int) -> None:
    ids = runner.encode([Message("user", prompt)], room=64)
    ours = generate(runner, "greedy", ids, SamplingParams(temperature=0, max_tokens=40), chunk)
    theirs = runner._model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=40, pad_token_id=0
    )[0, len(ids) :].tolist()
    assert ours == theirs


def test_a_seed_gives_the_same_answer_and_another_seed_another(runner: TransformersRunner) -> None:
    ids = runner.encode([Message("user", "hi")], room=64)
    one, again, other = (generate(runner, "s", ids, SamplingParams(1.5, max_tokens=30, seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_every_filter_of_the_sampling_parameters_works(runner: TransformersRunner) -> None:
    ids = runner.encode([Message("user", "hi")], room=64)
    greedy = generate(runner, "g", ids, SamplingParams(temperature=0, max_tokens=20))
    assert generate(runner, "k", ids, SamplingParams(2.0, top_k=1, max_tokens=20, seed=3)) == greedy
    assert generate(runner, "p", ids, SamplingParams(2.0, top_p=0.0001, max_tokens=20, seed=3)) == greedy
    penalised = generate(runner, "r", ids, SamplingParams(temperature=0, repetition_penalty=2.0, max_tokens=20))
    assert len(set(penalised)) > len(set(greedy))


def test_the_oldest_turns_are_dropped_first_and_the_system_prompt_stays(runner: TransformersRunner) -> None:
    turns = [Message("system", "s"), *(Message(role, "word " * 9) for _ in range(6) for role in ("user", "assistant"))]
    ids = runner.encode([*turns, Message("user", "last question")], room=64)
    text = runner._tokenizer.decode(ids)
    assert len(ids) <= runner.model.context - 64
    assert "<|system|>s" in text
    assert "last question" in text
    assert text.count("<|user|>") == text.count("<|assistant|>") < 7


def test_as_many_turns_are_kept_as_fit_and_a_long_conversation_takes_few_tries(
    runner: TransformersRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    render = runner._render

    def counted(messages: collections.abc.Sequence[Message]) -> list[int]:
        tries.append(len(messages))
        return render(messages)

    monkeypatch.setattr(runner, "_render", counted)
    turns = [Message(role, f"word {index}") for index in range(300) for role in ("user", "assistant")]
    ids = runner.encode([*turns, Message("user", "last")], room=64)
    kept = runner._tokenizer.decode(ids).count("<|user|>")
    assert len(tries) < 12
    assert len(render([*turns[-2 * kept :], Message("user", "last")])) > runner.model.context - 64, "one more does not fit"


def test_a_template_that_refuses_says_so(runner: TransformersRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = "{{ raise_exception('System role not supported') }}"
    monkeypatch.setattr(runner._tokenizer, "chat_template", refusing)
    with pytest.raises(UserError, match="System role not supported"):
        runner.encode([Message("system", "x"), Message("user", "hi")], room=64)


def test_a_message_that_alone_is_too_long_says_by_how_much(runner: TransformersRunner) -> None:
    with pytest.raises(PromptTooLong, match="tokens long and the model reads") as caught:
        runner.encode([Message("user", "word " * 2000)], room=64)
    assert caught.value.limit == runner.model.context - 64


def test_characters_of_several_tokens_are_never_cut(runner: TransformersRunner) -> None:
    text = "naïve 😀 漢字"
    decode = runner.decoder()
    pieces = [decode(token) for token in runner._tokenizer.encode(text, add_special_tokens=False)]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces)


def test_a_released_sequence_holds_nothing(runner: TransformersRunner) -> None:
    generate(runner, "gone", [1, 2, 3], SamplingParams(max_tokens=2))
    assert "gone" not in runner._states
