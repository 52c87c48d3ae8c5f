"""Trains the bundled model from nothing: `python -m demo.train` writes the checkpoint to demo/model.

One seed gives one model on one machine. Only what the model itself says is learnt.
"""

import argparse
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from demo import tokenizer as tokenizers
from demo.corpus import Message, conversations

VOCABULARY = 2048
TOKENS, POOL = 4096, 2048  # tokens a batch; chats that are sorted by length together
CUT = 12  # tokens that are left of most last answers: the rest follows from how it begins, and is soon known by heart
FIRST, WEIGHT = 3, 5.0  # the tokens that decide which answer it is, and how much more they count than others
WARMUP = 0.03
MUON_LR, ADAM_LR = 0.01, 4e-3

Lesson = tuple[list[int], list[float]]  # ids, and how much each counts; 0 for what others say
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def build(vocabulary: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The untrained model; 2.6 million parameters."""
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=3,
        num_key_value_heads=3,
        intermediate_size=512,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=vocabulary.bos_token_id,
        eos_token_id=vocabulary.eos_token_id,
        pad_token_id=vocabulary.pad_token_id,
    )
    return LlamaForCausalLM(config)


def batches(vocabulary: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Endless (ids, next ids, weights) of shape [chats, length], each of about TOKENS tokens.

    Every chat is a row of its own and rows of a batch are about equally long: packed together, a question would drown in
    the chats before it, and the model is slow to find out that the question matters at all.
    """
    rng = random.Random(seed)
    stream = (_lesson(vocabulary, chat, rng) for chat in conversations(seed))
    while True:
        pool = sorted(itertools.islice(stream, POOL), key=lambda chat: len(chat[0]))
        made: list[Batch] = []
        while pool:
            width = len(pool[-1][0])
            count = max(1, TOKENS // width)
            made.append(_rows(pool[-count:], width, vocabulary.pad_token_id))
            del pool[-count:]
        rng.shuffle(made)
        yield from made


def _lesson(vocabulary: PreTrainedTokenizerFast, chat: list[Message], rng: random.Random) -> Lesson:
    ids, learn = tokenizers.encode(vocabulary, chat)
    weights = [float(known) for known in learn]
    starts = [at for at, known in enumerate(learn) if known and not learn[at - 1]]
    for start in starts:
        weights[start : start + FIRST] = [WEIGHT] * FIRST
    is_sum = "- ones:" in chat[-1]["content"]
    end = len(ids) if is_sum or rng.random() < 0.35 else starts[-1] + CUT
    return ids[:end], weights[:end]


def _rows(chats: list[Lesson], width: int, pad: int) -> Batch:
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in chats])
    weights = torch.tensor([row + [0.0] * (width - len(row)) for _, row in chats])
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


def losses(model: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, float]:
    """The weighted mean cross entropy of what is to be learnt, and that of the deciding tokens alone, to watch."""
    ids, targets, weights = batch
    learn = weights > 0
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[learn])
    each = F.cross_entropy(logits.float(), targets[learn], reduction="none")
    weight = weights[learn]
    return (each * weight).sum() / weight.sum(), each[weight > 1].mean().item()


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, which halves the steps at this size, and AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=MUON_LR, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAM_LR, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(done: float) -> float:
    """The share of the learning rate at this share of the way: a short rise, a plateau, a fall over the last 60 %."""
    return max(0.0, min(1.0, (done + 1e-3) / WARMUP, (1 - done) / 0.6))


def save(model: LlamaForCausalLM, vocabulary: PreTrainedTokenizerFast, out: Path) -> None:
    """Writes the checkpoint in half precision; the model in memory stays as it is."""
    half = LlamaForCausalLM(model.config).to(torch.float16)
    half.load_state_dict(model.state_dict())
    half.generation_config = GenerationConfig(
        max_new_tokens=512,
        do_sample=False,
        bos_token_id=vocabulary.bos_token_id,
        eos_token_id=vocabulary.eos_token_id,
        pad_token_id=vocabulary.pad_token_id,
    )
    half.save_pretrained(out)
    vocabulary.save_pretrained(out)


def begin(start: Path | None, seed: int) -> tuple[PreTrainedTokenizerFast, LlamaForCausalLM]:
    """A new tokenizer and an untrained model, or those of the checkpoint to go on from."""
    if start is not None:
        return AutoTokenizer.from_pretrained(start), AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    lessons = (message["content"] for chat in itertools.islice(conversations(seed), 20_000) for message in chat)
    vocabulary = tokenizers.train(lessons, VOCABULARY)
    return vocabulary, build(vocabulary)


def train(steps: int, minutes: float, seed: int, out: Path, start: Path | None = None) -> None:
    """Trains until `steps` batches or `minutes` are over, whichever is first, and writes to `out` now and then and at the end."""
    torch.manual_seed(seed)
    vocabulary, model = begin(start, seed)
    print(f"{model.num_parameters():,} parameters, vocabulary {len(vocabulary)}", flush=True)
    opts = optimizers(model)
    base = [[group["lr"] for group in opt.param_groups] for opt in opts]
    began, step, done = time.monotonic(), 0, 0.0
    recent: list[tuple[float, float]] = []
    for batch in batches(vocabulary, seed + 1):
        for opt, rates in zip(opts, base, strict=True):
            for group, lr in zip(opt.param_groups, rates, strict=True):
                group["lr"] = lr * rate(done)
        loss, deciding = losses(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        step += 1
        spent = time.monotonic() - began
        done = max(step / steps, spent / 60 / minutes)
        recent = [*recent[-24:], (loss.item(), deciding)]
        if step % 25 == 0:
            means = [sum(column) / len(column) for column in zip(*recent, strict=True)]
            left = spent * (1 / done - 1) / 60
            report = f"loss {means[0]:.4f}  deciding {means[1]:.4f}  {step * TOKENS / spent:.0f} tok/s"
            print(f"step {step}  {report}  {spent / 60:.1f} min, {left:.1f} to go", flush=True)
        if done >= 1 or step % 200 == 0:
            save(model, vocabulary, out)
        if done >= 1:
            break
    print(f"wrote {out} after {step} steps and {(time.monotonic() - began) / 60:.1f} minutes")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=3000, help="batches of 4096 tokens (default 3000)")
    parser.add_argument("--minutes", type=float, default=55.0, help="stop by then, with fewer steps if need be (default 55)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    parser.add_argument("--start", type=Path, help="go on from this checkpoint, say after the corpus has grown")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args.steps, args.minutes, args.seed, args.out, args.start)


if __name__ == "__main__":
    main()
