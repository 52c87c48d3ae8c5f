"""Models that answer one at a time, of every kind of cache, beside Transformers' own `generate`."""

from __future__ import annotations

import copy
import json
import queue
import random
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.engine import LocalEngine, Request
from core.engine.opening import open_runner
from core.engine.scheduler import Scheduler, Sequence
from core.engine.single import SingleRunner
from core.engine.text import ChatText
from core.errors import ModelError, NotAChatModel
from core.models import find_model, load_model, parse_reference
from core.types import Delta, Event, Finished, Message, ModelInfo, SamplingParams
from tests.support.families import FAMILIES, generate, make_model
from tests.support.models import make_chat_model

NUMBERS = random.Random(0)
PROMPTS = [[NUMBERS.randrange(3, 97) for _ in range(length)] for length in (3, 23, 41)]
COUNT = 12
TOKENIZER: Any = SimpleNamespace(eos_token_id=None)
ENCODER_DECODER = "it is an encoder-decoder."
CHANGES = "its answers change when it computes several at once."
SCALED = "its positions are scaled by the length of what it reads."
LINEAR = "it has layers of the kind linear_attention."
ALONE = {
    # family: why it answers alone, and whether its cache takes a prompt in pieces
    "bloom": (CHANGES, True), "mpt": (CHANGES, True), "falcon": (CHANGES, True), "phimoe": (CHANGES, True),
    "openai-gpt": (CHANGES, False), "rwkv": (CHANGES, True),
    "longrope": (SCALED, False), "dynamic": (SCALED, False),
    "mamba": (LINEAR, False), "mamba2": (LINEAR, True), "recurrent_gemma": (LINEAR, False), "jamba": (LINEAR, False),
    "bamba": (LINEAR, True), "granitemoehybrid": (LINEAR, True), "qwen3_next": (LINEAR, True),
    "falcon_h1": ("it has layers of the kind hybrid.", True), "lfm2": ("it has layers of the kind conv.", True),
    "t5": (ENCODER_DECODER, False), "bart": (ENCODER_DECODER, False),
    "t5gemma": (ENCODER_DECODER, False),
}  # fmt: skip


def opened(model: Any) -> Any:
    return open_runner(copy.deepcopy(model), TOKENIZER, ModelInfo("tiny", context=512), capacity=10**6)


def serve(runner: Any, prompts: list[list[int]], chunk: int = 256, **params: Any) -> list[list[int]]:
    """The answers to `prompts`, which arrive at once and are read `chunk` tokens a step."""
    params = {"temperature": 0, "max_tokens": COUNT, **params}
    scheduler = Scheduler(runner.parallel, chunk=lambda decoding: chunk)
    sequences = [Sequence(str(n), prompt, SamplingParams(**params), user_id=str(n)) for n, prompt in enumerate(prompts)]
    for sequence in sequences:
        scheduler.add(sequence)
    while steps := scheduler.schedule():
        for op in scheduler.take_cache_ops():
            runner.release(op.id)
        scheduler.postprocess(steps, runner.run(steps))
    for op in scheduler.take_cache_ops():
        runner.release(op.id)
    return [sequence.generated for sequence in sequences]


@pytest.mark.parametrize("family", ALONE)
def test_greedy_output_is_that_of_generate_read_whole_or_in_pieces(family: str) -> None:
    model = make_model(family)
    wanted = [generate(model, prompt, COUNT) for prompt in PROMPTS]
    runner = opened(model)
    assert isinstance(runner, SingleRunner)
    assert (runner.model.alone, runner.pieces) == ALONE[family]
    assert serve(runner, PROMPTS) == wanted, "one after the other"
    assert serve(runner, PROMPTS, chunk=7) == wanted
    assert serve(runner, PROMPTS[::-1], chunk=7) == wanted[::-1], "whatever came before"
    assert not runner._readings
    assert len({tuple(answer) for answer in wanted}) == len(PROMPTS), "three answers, or nothing was seen"


@pytest.mark.parametrize("family", ["t5", "mamba", "openai-gpt"])
def test_a_seed_gives_the_same_answer_and_another_seed_another(family: str) -> None:
    runner = opened(make_model(family))
    one, again, other = (serve(runner, PROMPTS, temperature=1.5, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_penalty_is_for_what_an_encoder_decoder_has_said_not_for_what_it_was_asked() -> None:
    model = make_model("t5")
    model.generation_config.repetition_penalty = 1.7
    wanted = [generate(model, prompt, COUNT) for prompt in PROMPTS]
    assert serve(opened(model), PROMPTS, repetition_penalty=1.7) == wanted


@pytest.mark.parametrize("family", ["t5", "mamba", "bloom"])
def test_a_sequence_that_was_taken_back_goes_on_where_it_was(family: str) -> None:
    model = make_model(family)
    runner, scheduler = opened(model), Scheduler(1, chunk=lambda decoding: 7)
    sequence = Sequence("again", PROMPTS[1], SamplingParams(0, max_tokens=COUNT))
    scheduler.add(sequence)
    while len(sequence.generated) < 5:
        steps = scheduler.schedule()
        scheduler.postprocess(steps, runner.run(steps))
    runner.reset()
    scheduler.retry(scheduler.schedule())
    while steps := scheduler.schedule():
        scheduler.postprocess(steps, runner.run(steps))
    assert sequence.generated == generate(model, PROMPTS[1], COUNT)


@pytest.mark.parametrize("family", ["t5", "mamba", "bloom"])
def test_what_is_cancelled_between_two_steps_leaves_nothing_and_the_next_is_as_ever(family: str) -> None:
    model = make_model(family)
    runner, scheduler = opened(model), Scheduler(1, chunk=lambda decoding: 7)
    scheduler.add(Sequence("gone", PROMPTS[2], SamplingParams(0.0, max_tokens=COUNT)))
    for _ in range(8):
        steps = scheduler.schedule()
        scheduler.postprocess(steps, runner.run(steps))
    assert "gone" in runner._readings
    scheduler.cancel("gone")
    for op in scheduler.take_cache_ops():
        runner.release(op.id)
    assert (runner._readings, runner._choices) == ({}, {})
    assert serve(runner, PROMPTS[:1]) == [generate(model, PROMPTS[0], COUNT)]


def test_a_model_that_keeps_no_cache_reads_everything_again() -> None:
    model = make_model("openai-gpt")
    runner = opened(model)
    prompt = Sequence("no cache", PROMPTS[0], SamplingParams(0, max_tokens=COUNT))
    scheduler = Scheduler(1)
    scheduler.add(prompt)
    steps = scheduler.schedule()
    scheduler.postprocess(steps, runner.run(steps))
    assert not runner._readings["no cache"].keeps


def test_a_cache_that_does_not_take_pieces_would_answer_otherwise() -> None:
    """Mamba's, for one; so that the runner's trial of it is seen to matter."""
    model = make_model("mamba")
    runner = SingleRunner(model, ChatText(TOKENIZER, 512), frozenset(), ModelInfo("tiny"), 10**6, pieces=True)
    assert serve(runner, PROMPTS, chunk=7) != [generate(model, prompt, COUNT) for prompt in PROMPTS]


def test_a_model_that_does_not_answer_to_text_alone_says_so() -> None:
    model = make_model("bloom")
    model.forward = lambda **inputs: 1 / 0
    with pytest.raises(ModelError, match=r"'tiny' does not answer to text alone\. Choose another model"):
        open_runner(model, TOKENIZER, ModelInfo("tiny"), capacity=10**6)


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 with a chat template, as a user would have it."""
    from transformers import AutoTokenizer

    folder = make_chat_model(tmp_path_factory.mktemp("models") / "tiny-t5")
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    (folder / "model.safetensors").unlink()
    make_model("t5", vocab_size=vocabulary, eos_token_id=0).save_pretrained(folder)
    return folder


def test_an_encoder_decoder_with_a_chat_template_answers_a_chat(t5_folder: Path) -> None:
    importing = threading.Lock()
    checked = find_model(parse_reference(str(t5_folder)), 8 * 10**9, importing, lambda done, total: None)
    runner = load_model(checked, importing, lambda done, total: None, 10**8)
    assert runner.model.alone == ENCODER_DECODER
    engine, events = LocalEngine(runner), queue.Queue[Event]()
    engine.submit(Request("r", "u", (Message("user", "hi"),), SamplingParams(0, max_tokens=9)), events.put)
    seen: list[Event] = []
    while not seen or not isinstance(seen[-1], Finished):
        seen.append(events.get(timeout=60))
    engine.close()
    assert seen[-1].reason in ("length", "stop")
    assert seen[-1].usage.tokens > 1
    assert "".join(event.text for event in seen if isinstance(event, Delta))


def test_an_encoder_decoder_without_a_chat_template_and_a_decoder_cut_off_it_are_refused(t5_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(t5_folder, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["T5EncoderModel"]}))
    with pytest.raises(NotAChatModel, match="it is a T5EncoderModel"):
        find_model(parse_reference(str(folder)), 8 * 10**9, threading.Lock(), lambda done, total: None)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(NotAChatModel, match="no chat template"):
        find_model(parse_reference(str(folder)), 8 * 10**9, threading.Lock(), lambda done, total: None)


def test_both_lists_name_every_family() -> None:
    from tests.core.test_opening import SHARED

    assert {*ALONE, *SHARED} == set(FAMILIES)
