"""Choosing tokens, beside Transformers' own processors."""

from __future__ import annotations

import pytest
import torch
from transformers.generation import logits_process as lp

from core.engine.sampling import Choice, choose
from core.engine.scheduler import Sequence
from core.types import SamplingParams

VOCABULARY = 60
DRAWS = 2000
PROMPT = [3, 7, 7, 11]


def theirs(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """The probabilities [vocabulary] that `generate` would draw from."""
    processors = lp.LogitsProcessorList([lp.RepetitionPenaltyLogitsProcessor(params.repetition_penalty)])
    processors.append(lp.TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        processors.append(lp.TopKLogitsWarper(params.top_k))
    processors.append(lp.TopPLogitsWarper(params.top_p))
    processors.append(lp.MinPLogitsWarper(params.min_p))
    return processors(torch.tensor([PROMPT]), logits[None].clone()).softmax(-1)[0]


def draw(logits: torch.Tensor, params: list[SamplingParams]) -> list[int | None]:
    """A token for each of `params` from the same `logits` [vocabulary]."""
    sequences = [Sequence(str(n), PROMPT, one) for n, one in enumerate(params)]
    return choose(logits.expand(len(params), -1), sequences, [Choice(one) for one in params])


@pytest.mark.parametrize(
    "filters",
    [
        {}, {"temperature": 0.5}, {"top_k": 5}, {"top_p": 0.6}, {"min_p": 0.2}, {"top_k": 20, "top_p": 0.8},
        {"top_p": 0.9, "min_p": 0.1}, {"repetition_penalty": 1.8},
        {"repetition_penalty": 1.3, "top_k": 7, "top_p": 0.9, "min_p": 0.05},
    ],
    ids=str,
)  # fmt: skip
def test_tokens_are_drawn_with_the_probabilities_of_generate(filters: dict[str, float]) -> None:
    logits = 2 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(1))
    params = {"temperature": 1.0, **filters}
    wanted = theirs(logits, SamplingParams(**params))  # type: ignore[arg-type]
    drawn = draw(logits, [SamplingParams(**params, seed=seed) for seed in range(DRAWS)])  # type: ignore[arg-type]
    counts = torch.bincount(torch.tensor(drawn), minlength=VOCABULARY)
    assert counts[wanted == 0].sum() == 0, "a token that a filter takes out"
    expected = wanted * DRAWS
    spread = (expected * (1 - wanted)).sqrt()
    assert ((counts - expected).abs() <= 5 * spread + 1).all()


def test_top_p_that_reaches_beyond_the_likeliest_tokens_that_are_sorted_first() -> None:
    flat = torch.zeros(5000)  # all alike: half of the probability is 2,500 tokens
    drawn = draw(flat, [SamplingParams(1.0, top_p=0.5, seed=seed) for seed in range(300)])
    assert len(set(drawn)) > 256


def test_a_seed_gives_the_same_whatever_shares_the_batch() -> None:
    logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(2))
    mine = [SamplingParams(1.2, seed=5), SamplingParams(0.9, top_p=0.7, seed=5), SamplingParams(1.0, top_k=9, min_p=0.1, seed=5)]
    others = [SamplingParams(0, seed=1), SamplingParams(2.0, top_k=50, seed=9), SamplingParams(1.0, top_p=0.99, seed=3)]
    for one in mine:
        assert draw(logits, [one])[0] == draw(logits, [*others, one])[-1] == draw(logits, [one, *others])[0]


def test_a_temperature_of_almost_nothing_is_greedy() -> None:
    logits = torch.zeros(VOCABULARY)
    logits[7] = 2.0
    assert draw(logits, [SamplingParams(1e-39, seed=1)]) == [7]


def test_without_a_seed_each_is_another() -> None:
    drawn = draw(torch.zeros(VOCABULARY), [SamplingParams(1.0)] * 20)
    assert len(set(drawn)) > 3


def test_greedy_is_the_likeliest_and_the_penalty_moves_it() -> None:
    logits = torch.zeros(VOCABULARY)
    logits[7], logits[20] = 2.0, 1.9
    assert draw(logits, [SamplingParams(0)]) == [7]
    assert draw(logits, [SamplingParams(0, repetition_penalty=1.5)]) == [20]


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_what_is_no_number_is_told_and_disturbs_nobody(damage: float) -> None:
    logits = torch.randn(4, VOCABULARY)
    logits[1, 9] = logits[3, 9] = damage
    params = [SamplingParams(0), SamplingParams(0), SamplingParams(1.0, seed=1), SamplingParams(1.0, top_p=0.5, seed=1)]
    sequences = [Sequence(str(n), PROMPT, one) for n, one in enumerate(params)]
    tokens = choose(logits, sequences, [Choice(one) for one in params])
    assert [token is None for token in tokens] == [False, True, False, True]
    assert tokens[0] == int(logits[0].argmax())
