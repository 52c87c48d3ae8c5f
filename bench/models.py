"""Models for the benchmark: shapes that people use, random weights, no end token, and a tokenizer of one word a token.

Speed does not depend on what the weights say, so none are downloaded. Each is made once, in a folder that any contestant loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The text of a conversation and nothing else, so that every contestant reads the same token ids.
TEMPLATE = "{% for message in messages %}{{ message.content + ' ' }}{% endfor %}"


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's shape, with `ramp_s`: over how many seconds the users arrive (the same for every row)."""

    name: str
    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    ramp_s: float
    dtype: str = "float32"
    head_dim: int = 0
    gpu: bool = False


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny", "llama", 32, 2, 2, 1, 64, 512, 0.05),  # for the benchmark's own test
        Shape("5M", "llama", 256, 5, 4, 2, 704, 5120, 0.5),
        Shape("30M", "llama", 512, 8, 8, 4, 1408, 12288, 1.0),
        Shape("125M", "llama", 768, 16, 12, 4, 2048, 32000, 2.0),
        Shape("0.6B", "qwen3", 1024, 28, 16, 8, 3072, 151936, 0.5, "bfloat16", 128, gpu=True),
        Shape("3B", "llama", 3072, 28, 24, 8, 8192, 128256, 0.5, "bfloat16", 128, gpu=True),
    )
}


def word(token: int) -> str:
    """The text of a token."""
    return f"w{token}"


def text_of(tokens: list[int]) -> str:
    """The text that the tokenizer reads as exactly `tokens`."""
    return " ".join(map(word, tokens))


def make_model(shape: Shape, cache: Path, device: str = "cpu") -> Path:
    """The folder of `shape`'s model in `cache`, made if it is not there. A model for a GPU is initialised on it."""
    folder = cache / f"bench-{shape.name}"
    if (folder / "made").is_file():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(_config(shape), dtype=getattr(torch, shape.dtype))
    model.generation_config = GenerationConfig(do_sample=False, pad_token_id=0, eos_token_id=None, bos_token_id=None)
    model.save_pretrained(folder)
    _tokenizer(shape.vocabulary).save_pretrained(folder)
    (folder / "made").write_text(f"{model.num_parameters()}\n")
    return folder


def parameters(folder: Path) -> int:
    """How many parameters the model in `folder` has."""
    return int((folder / "made").read_text())


def _config(shape: Shape) -> Any:
    from transformers import LlamaConfig, Qwen3Config

    kinds = {"llama": LlamaConfig, "qwen3": Qwen3Config}
    head_dim = {"head_dim": shape.head_dim} if shape.head_dim else {}
    return kinds[shape.kind](
        hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, intermediate_size=shape.intermediate, vocab_size=shape.vocabulary,
        tie_word_embeddings=True, max_position_embeddings=2048, bos_token_id=None, eos_token_id=None, pad_token_id=0, **head_dim,
    )  # fmt: skip


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(WordLevel({word(token): token for token in range(vocabulary)}, unk_token=word(0)))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=2048)
    tokenizer.chat_template = TEMPLATE
    return tokenizer
