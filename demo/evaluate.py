"""Asks the bundled model what its corpus never asked, and prints the score: `python -m demo.evaluate`.

`questions.jsonl` was written by hand. Its dev half may be looked at while the corpus grows; the test half is what the model
card quotes. `--write` puts the test score into demo/model/score.json and the card.
"""

import argparse
import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo import sums
from demo.corpus import REFUSAL, Message, phrases, topics

HERE = Path(__file__).parent
MODEL = HERE / "model"
SUMS, NEW_WORDS, BATCH = 200, 40, 16
NEW_ADD = {
    "dev": ["Put {a} and {b} together, what is it?", "{a} & {b} in total?", "I'd like to know {a} plus {b}"],
    "test": ["Do me a favour and add {a} and {b}", "{a} increased by {b} gives?", "What does one get from {a} plus {b}?"],
}
NEW_SUBTRACT = {
    "dev": ["{a} without {b}?", "{b} off {a} leaves how many?"],
    "test": ["Which number is {a} minus {b}?", "What stays when {b} goes away from {a}?"],
}
MARK = re.compile(r"(?<=<!-- score -->\n).*?(?=<!-- /score -->)", re.DOTALL)


@dataclass(frozen=True)
class Question:
    """A chat of one or two user turns; `expect` has for each turn a topic, `REFUSAL`, `=words to contain`, or `*`."""

    kind: str
    ask: tuple[str, ...]
    expect: tuple[str, ...]


class Guide:
    """The model, ready to be asked many things at once; greedy, in float32."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(self, chats: list[list[Message]], tokens: int = 512) -> list[str]:
        """What the model says next in each chat."""
        answers = []
        for at in range(0, len(chats), BATCH):
            inputs = self.tokenizer.apply_chat_template(
                chats[at : at + BATCH], add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
            )
            output = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
            answers += self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return answers


def questions(split: str) -> list[Question]:
    """The hand-written questions of a split, `dev` or `test`."""
    lines = map(json.loads, (HERE / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    return [Question(q["kind"], tuple(q["ask"]), tuple(q["expect"])) for q in lines if q["split"] == split]


def sum_questions(split: str) -> Iterator[Question]:
    """Sums and differences of pairs that the corpus leaves out: 200 as it asks them, and 40 in words it does not use."""
    rng = random.Random(split)
    taught = phrases()
    for at in range(SUMS + NEW_WORDS):
        a, b = sums.pair(rng, test=True)
        new = at >= SUMS
        if at % 4 == 3:
            a, b = max(a, b), min(a, b)
            ask = rng.choice(NEW_SUBTRACT[split] if new else taught["subtract"])
            kind, expected = "difference", f"=**{a} - {b} = {a - b}**"
        else:
            ask = rng.choice(NEW_ADD[split] if new else taught["add"])
            kind, expected = "sum", rf"~\*\*({a} \+ {b}|{b} \+ {a}) = {a + b}\*\*"
        yield Question("sum in new words" if new else kind, (ask.format(a=a, b=b, x=rng.choice(taught["objects"])),), (expected,))


def right(answer: str, expected: str) -> bool:
    """Whether an answer is the expected topic's, word for word."""
    match expected[0], expected:
        case "*", _:
            return True
        case "=", _:
            return expected[1:] in answer
        case "~", _:
            return re.search(expected[1:], answer) is not None
        case _, "REFUSAL":
            return answer.strip() == REFUSAL
    name, _, part = expected.partition(".")
    return answer.strip() == str(topics()[name][part or "answer"]).strip()


def ask(guide: Guide, asked: list[Question]) -> list[list[str]]:
    """The guide's answers, turn by turn, each with its own earlier answers as context."""
    chats: list[list[Message]] = [[] for _ in asked]
    for turn in range(max(len(question.ask) for question in asked)):
        live = [at for at, question in enumerate(asked) if turn < len(question.ask)]
        for at in live:
            chats[at].append({"role": "user", "content": asked[at].ask[turn]})
        for at, answer in zip(live, guide.answer([chats[at] for at in live]), strict=True):
            chats[at].append({"role": "assistant", "content": answer})
    return [[message["content"] for message in chat if message["role"] == "assistant"] for chat in chats]


def score(guide: Guide, split: str, verbose: bool = False) -> dict[str, tuple[int, int]]:
    """Right answers and questions, by kind; a chat of two turns is right when both are."""
    asked = [*questions(split), *sum_questions(split)]
    table: dict[str, tuple[int, int]] = {}
    for question, answers in zip(asked, ask(guide, asked), strict=True):
        good = all(right(answer, expected) for answer, expected in zip(answers, question.expect, strict=True))
        hits, count = table.get(question.kind, (0, 0))
        table[question.kind] = hits + good, count + 1
        if verbose and not good:
            print(f"{question.kind}: {' / '.join(question.ask)}\n    wanted {' / '.join(question.expect)}")
            print("    got    " + " / ".join(answer.replace("\n", " ")[:110] for answer in answers))
    return table


def render(table: dict[str, tuple[int, int]]) -> str:
    """The score as a Markdown table."""
    rows = [f"| {kind} | {hits} of {count} | {100 * hits / count:.1f} % |" for kind, (hits, count) in table.items()]
    return "\n".join(["| questions | right | share |", "|---|---|---|", *rows, ""])


def fingerprint(path: Path) -> str:
    """The digest that ties a score to the weights it was measured on."""
    return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()


def write(path: Path, table: dict[str, tuple[int, int]]) -> None:
    """Puts the score beside the weights, as data and in the card."""
    data = {"split": "test", "weights": fingerprint(path), "score": {kind: list(pair) for kind, pair in table.items()}}
    (path / "score.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    card = path / "README.md"
    card.write_text(MARK.sub(lambda _: render(table), card.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Scores the bundled model on questions that its corpus does not ask.")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--write", action="store_true", help="write the test score into score.json and the model card")
    parser.add_argument("--verbose", action="store_true", help="show what went wrong")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.write and args.split != "test":
        parser.error("only the score on the test questions is written: leave out --split dev")
    torch.set_num_threads(args.threads)
    table = score(Guide(args.model), args.split, args.verbose)
    print(render(table))
    if args.write:
        write(args.model, table)


if __name__ == "__main__":
    main()
