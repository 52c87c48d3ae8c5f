"""How much of the memory a model gets, by what its config says."""

from __future__ import annotations

from typing import Any

import pytest

from core.engine.room import LEAST_CACHE, Found, cache_bytes_per_token, cache_share, least_needed


def found(weights: int, one_cache: int) -> Found:
    return Found(lambda cache_bytes, report: None, weights, one_cache)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("config", "bytes_each"),
    [
        ({"num_hidden_layers": 32, "num_attention_heads": 32, "hidden_size": 4096}, 32 * 2 * 32 * 128),  # Llama 2
        (  # Llama 3, grouped queries
            {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}, 32 * 2 * 8 * 128,
        ),
        (  # Qwen3, whose heads are larger than its width says
            {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 1024},
            28 * 2 * 8 * 128,
        ),
        ({"n_layer": 12, "n_head": 12, "n_embd": 768}, 12 * 2 * 12 * 64),  # GPT-2
        (  # Gemma 3, multimodal: the text part counts
            {
                "text_config": {
                    "num_hidden_layers": 34, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                    "hidden_size": 2560, "sliding_window": 1024,
                },
                "vision_config": {"num_hidden_layers": 27},
            },
            34 * 2 * 4 * 256,
        ),
        ({"d_model": 768, "num_layers": 24}, 0),  # without attention: nothing grows
    ],
)  # fmt: skip
def test_what_a_token_takes(config: dict[str, Any], bytes_each: int) -> None:
    assert cache_bytes_per_token(config, 4) == 4 * bytes_each
    assert cache_bytes_per_token(config, 2) == 2 * bytes_each


MB = 10**6


@pytest.mark.parametrize(
    ("one_cache", "left", "coming", "share"),
    [
        (100 * MB, 4000 * MB, 1, 2000 * MB),  # half of what is left, the other half for whatever comes later
        (100 * MB, 7000 * MB, 1, 2000 * MB),  # a quarter of the budget
        (100 * MB, 3000 * MB, 2, 1000 * MB),
        (1 * MB, 4000 * MB, 1, 64 * MB),  # more than that many full requests is of no use
        (100 * MB, 70 * MB, 1, LEAST_CACHE),  # the least with which it is of use
        (10 * MB, 12 * MB, 1, 10 * MB),
        (0, 4000 * MB, 1, 0),
    ],
)
def test_a_cache_is_a_fair_share_of_what_is_left(one_cache: int, left: int, coming: int, share: int) -> None:
    assert cache_share(found(0, one_cache), left, 8000 * MB, coming) == share


def test_the_least_is_the_weights_and_one_request_or_a_little() -> None:
    assert least_needed(found(500 * MB, 10 * MB)) == 510 * MB
    assert least_needed(found(500 * MB, 10**10)) == 500 * MB + LEAST_CACHE
