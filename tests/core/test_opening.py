"""Which families share a batch: each is tried when it is opened, and what shares one answers as `generate` does."""

from __future__ import annotations

import copy

import pytest

from core.engine.opening import open_runner
from core.engine.packing import PackedLinear
from core.engine.runner import BatchRunner
from core.types import ModelInfo
from tests.core.test_single import COUNT, PROMPTS, TOKENIZER, opened, serve
from tests.support.families import FAMILIES, generate, make_model

SHARED = [
    "llama", "qwen3", "gemma", "gemma2", "gemma3_text", "gpt2", "mistral", "phi3", "olmo2", "gpt_neox", "qwen2_moe", "mixtral",
    "cohere2", "smollm3", "gemma3n_text", "deepseek_v3", "gpt_oss",
]  # fmt: skip


@pytest.mark.parametrize("family", SHARED)
def test_a_family_that_shares_a_batch_answers_there_as_generate_does(family: str) -> None:
    model = make_model(family)
    wanted = [generate(model, prompt, COUNT) for prompt in PROMPTS]
    runner = opened(model)
    assert isinstance(runner, BatchRunner), runner.model.alone
    assert runner.model.alone == ""
    assert serve(runner, PROMPTS, chunk=7) == wanted
    assert serve(runner, PROMPTS) == wanted
    assert len({tuple(answer) for answer in wanted}) == len(PROMPTS), "three answers, or nothing was seen"


@pytest.mark.parametrize("family", [family for family in SHARED if "sliding_window" in FAMILIES[family]])
def test_a_window_that_is_longer_than_the_trials_prompts_is_kept_to_afterwards(family: str) -> None:
    model = make_model(family, sliding_window=32)
    runner = opened(model)
    assert isinstance(runner, BatchRunner), runner.model.alone
    assert serve(runner, PROMPTS, chunk=7) == [generate(model, prompt, COUNT) for prompt in PROMPTS]


def test_a_window_that_only_a_mask_knows_of_is_found_out_however_long_it_is() -> None:
    """Phi-3.5-MoE's attention is not told of its window, so that a batch would read past it."""
    assert opened(make_model("phimoe", sliding_window=1000)).model.alone
    assert not opened(make_model("phimoe", sliding_window=None)).model.alone


def test_what_was_tried_in_vain_is_as_it_was_before() -> None:
    model = make_model("phimoe", sliding_window=32)
    tried = copy.deepcopy(model)
    open_runner(tried, TOKENIZER, ModelInfo("tiny"), capacity=10**6)
    assert tried.config.sliding_window == 32
    assert not any(isinstance(layer, PackedLinear) for layer in tried.modules())
    assert [generate(tried, prompt, COUNT) for prompt in PROMPTS] == [generate(model, prompt, COUNT) for prompt in PROMPTS]
