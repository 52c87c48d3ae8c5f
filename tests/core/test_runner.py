"""The batch runner on real, small models of several shapes, beside Transformers' own `generate`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.engine import kv
from core.engine import scheduler as scheduling
from core.engine.opening import open_runner
from core.engine.runner import BatchRunner
from core.engine.scheduler import Release, Reuse, Scheduler, Sequence
from core.errors import NoNumbers
from core.models import find_model, load_model, parse_reference
from core.types import Message, ModelInfo, SamplingParams

CONTEXT = 256
COMMON = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": CONTEXT, "initializer_range": 0.5,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", COMMON),
    "llama, tied": ("LlamaForCausalLM", {**COMMON, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", COMMON),
    "mistral": ("MistralForCausalLM", {**COMMON, "sliding_window": 9}),
    "gemma": ("GemmaForCausalLM", COMMON),
    "gemma2": ("Gemma2ForCausalLM", {**COMMON, "sliding_window": 9, "query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3ForCausalLM", {
        **COMMON, "sliding_window": 9, "query_pre_attn_scalar": 8, "num_hidden_layers": 6, "sliding_window_pattern": 3,
    }),
    "gpt2": ("GPT2LMHeadModel", {
        "vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT, "initializer_range": 0.5,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }),
}  # fmt: skip
SHAPE_NAMES = list(SHAPES)


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    """Rows and headroom of a few tokens, so that sequences of these lengths move, grow and are sent back.

    One thread: a second has nothing to do in models as small as these.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduling, "HEADROOM", 3)
        patch.setattr(kv, "SMALLEST", 8)
        yield
    torch.set_num_threads(threads)


class Twins:
    """A runner, and the plain model that it was made from."""

    def __init__(self, shape: str) -> None:
        name, config = SHAPES[shape]
        model_class = getattr(transformers, name)
        torch.manual_seed(0)
        self.plain = model_class(model_class.config_class(**config)).eval()
        other = model_class(model_class.config_class(**config)).eval()
        other.load_state_dict(self.plain.state_dict())
        tokenizer: Any = SimpleNamespace(eos_token_id=2)
        self.runner = open_runner(other, tokenizer, ModelInfo(shape, context=CONTEXT), capacity=10**6)
        self._answers: dict[tuple[int, ...], list[int]] = {}

    def generate(self, prompt: list[int], count: int) -> list[int]:
        """What `generate` answers to `prompt`, greedy, to an end or 12 tokens; of that the first `count`."""
        key = tuple(prompt)
        if key not in self._answers:
            ids = torch.tensor([prompt])
            mask = torch.ones_like(ids)
            whole = self.plain.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=12)
            self._answers[key] = whole[0, len(prompt) :].tolist()
        return self._answers[key][:count]


@pytest.fixture(scope="module", params=SHAPE_NAMES)
def twins(request: pytest.FixtureRequest) -> Twins:
    return Twins(request.param)


@pytest.fixture(scope="module")
def llama() -> Twins:
    return Twins("llama")


def serve(runner: Any, arrivals: list[tuple[int, Sequence]], scheduler: Scheduler) -> None:
    """As the engine does: each sequence joins at the step that it arrives at."""
    for step in range(3000):
        for arrival, sequence in arrivals:
            if arrival == step:
                scheduler.add(sequence)
        steps = scheduler.schedule()
        for op in scheduler.take_cache_ops():
            if isinstance(op, Reuse):
                runner.reuse(op)
            else:
                runner.release(op.id, op.keep)
        if not steps and step > max(arrival for arrival, _ in arrivals):
            break
        if steps:
            scheduler.postprocess(steps, runner.run(steps))
    runner.reset()


def answer(runner: Any, prompt: list[int], **params: Any) -> list[int]:
    """What the runner alone answers."""
    sequence = Sequence("alone", prompt, SamplingParams(**params), runner.eos)
    serve(runner, [(0, sequence)], Scheduler())
    return sequence.generated


PROMPTS = st.lists(st.integers(3, 96), min_size=1, max_size=60)
CALLS = st.lists(st.tuples(PROMPTS, st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=6)


def test_every_shape_shares_a_batch(twins: Twins) -> None:
    assert isinstance(twins.runner, BatchRunner)
    assert twins.runner.model.alone == ""


@given(CALLS, st.integers(1, 6), st.integers(1, 24), st.sampled_from([60, 110, 10**6]), st.integers(0, 30))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_greedy_output_is_that_of_generate_alone_or_in_a_batch(
    twins: Twins, calls: list[tuple[list[int], int, int]], running: int, chunk: int, capacity: int, shared: int
) -> None:
    """With mixed lengths and arrivals, prompts that begin alike, and a cache so small that sequences are sent back."""
    begin = [5 + number % 90 for number in range(shared)]
    sequences = [
        Sequence(str(n), begin + prompt, SamplingParams(0, max_tokens=limit), twins.runner.eos, str(n % 3))
        for n, (prompt, limit, _) in enumerate(calls)
    ]
    scheduler = Scheduler(
        running, chunk=lambda decoding: chunk, capacity=capacity, cost=twins.runner.cost, reuse=True, max_waiting=100
    )
    serve(twins.runner, [(arrival, one) for (_, _, arrival), one in zip(calls, sequences, strict=True)], scheduler)
    for one in sequences:
        assert one.generated == twins.generate(one.prompt, one.params.max_tokens)


@given(CALLS, st.integers(0, 2**31 - 1), st.sampled_from([{}, {"top_p": 0.8}, {"top_k": 7}, {"repetition_penalty": 1.3}]))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_seed_gives_the_same_whatever_shares_the_batch(
    llama: Twins, calls: list[tuple[list[int], int, int]], seed: int, filters: dict[str, Any]
) -> None:
    params = SamplingParams(1.3, max_tokens=12, seed=seed, **filters)
    mine = Sequence("mine", calls[0][0], params, llama.runner.eos)
    others = [
        (arrival, Sequence(str(n), prompt, SamplingParams(0.9, max_tokens=limit, seed=n), llama.runner.eos, str(n)))
        for n, (prompt, limit, arrival) in enumerate(calls)
    ]
    serve(llama.runner, [*others, (3, mine)], Scheduler(6, chunk=lambda decoding: 16, reuse=True, max_waiting=100))
    assert mine.generated == answer(llama.runner, mine.prompt, temperature=1.3, max_tokens=12, seed=seed, **filters)


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 1.3, "seed": 7}], ids=["greedy", "seeded"])
def test_one_that_is_sent_back_goes_on_as_if_it_had_not_been(llama: Twins, params: dict[str, Any]) -> None:
    sequences = [
        Sequence(str(n), list(range(5 + n, 25 + n)), SamplingParams(**params, max_tokens=40), frozenset(), str(n))
        for n in range(2)
    ]
    scheduler = Scheduler(2, capacity=80, cost=llama.runner.cost)
    for sequence in sequences:
        scheduler.add(sequence)
    sent_back = False
    while steps := scheduler.schedule():
        for op in scheduler.take_cache_ops():
            assert isinstance(op, Release)
            llama.runner.release(op.id, op.keep)
        scheduler.postprocess(steps, llama.runner.run(steps))
        sent_back |= any(one.generated for one in scheduler.waiting)
    llama.runner.reset()
    assert sent_back
    for sequence in sequences:
        alone = Sequence("alone", sequence.prompt, sequence.params)
        serve(llama.runner, [(0, alone)], Scheduler())
        assert sequence.generated == alone.generated


def test_a_step_that_is_done_again_draws_the_same(llama: Twins) -> None:
    sequence = Sequence("again", [5, 6, 7], SamplingParams(1.5, max_tokens=9, seed=3), frozenset())
    scheduler = Scheduler()
    scheduler.add(sequence)
    while steps := scheduler.schedule():
        first, second = llama.runner.run(steps), llama.runner.run(steps)
        assert first == second
        scheduler.postprocess(steps, second)
    llama.runner.reset()


def test_seeds_differ(llama: Twins) -> None:
    one, other = (answer(llama.runner, [5, 6, 7], temperature=1.5, max_tokens=12, seed=seed) for seed in (1, 2))
    assert one != other


def test_one_that_computes_no_numbers_ends_alone_and_its_row_is_clean_for_the_next(llama: Twins) -> None:
    runner = llama.runner
    assert isinstance(runner, BatchRunner)
    prompts = [[5, 6, 7, 8], [9, 10, 11], [12, 13, 14]]
    sequences = [Sequence(str(n), prompt, SamplingParams(0, max_tokens=12), runner.eos) for n, prompt in enumerate(prompts)]
    scheduler = Scheduler(3)
    for sequence in sequences:
        scheduler.add(sequence)
    steps = scheduler.schedule()
    scheduler.postprocess(steps, runner.run(steps))
    row = runner._cache.row("1", 3, 4, 4)
    with torch.inference_mode():
        for keys, values in row.slab.layers.values():  # as an overflow in a small dtype would leave it
            keys[row.index], values[row.index] = torch.nan, torch.nan
    steps = scheduler.schedule()
    outcomes = runner.run(steps)
    assert [type(outcome) for outcome in outcomes] == [int, NoNumbers, int]
    scheduler.postprocess(steps, [outcome if isinstance(outcome, int) else None for outcome in outcomes])
    scheduler.remove(sequences[1], "stop", keep=False)
    late = Sequence("late", [20, 21, 22, 23, 24], SamplingParams(0, max_tokens=12), runner.eos)
    serve(runner, [(0, late)], scheduler)
    for sequence in (sequences[0], sequences[2], late):
        assert sequence.generated == llama.generate(sequence.prompt, 12)


def test_a_released_sequence_holds_nothing(llama: Twins) -> None:
    runner = llama.runner
    assert isinstance(runner, BatchRunner)
    scheduler = Scheduler(2)
    for name in "ab":
        scheduler.add(Sequence(name, [5, 6, 7], SamplingParams(1.0, max_tokens=5, seed=1), frozenset()))
    runner.run(scheduler.schedule())
    for name in "ab":
        runner.release(name)
    assert (runner._cache._slabs, runner._cache._rows, runner._choices) == ({}, {}, {})


@pytest.fixture(scope="module")
def loaded(chat_model: Path) -> Iterator[Any]:
    importing = threading.Lock()
    checked = find_model(parse_reference(str(chat_model)), 8 * 10**9, importing, lambda done, total: None)
    runner = load_model(checked, importing, lambda done, total: None, 10**8)
    yield runner
    runner.close()


def test_a_checkpoint_from_a_folder_answers_as_it_does_in_transformers(loaded: Any, chat_model: Path) -> None:
    plain = transformers.AutoModelForCausalLM.from_pretrained(chat_model)
    ids = loaded.encode([Message("user", "the model answers")], room=64)
    theirs = plain.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=40)
    assert answer(loaded, ids, temperature=0, max_tokens=40) == theirs[0, len(ids) :].tolist()
