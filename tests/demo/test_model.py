"""The committed checkpoint is what its card says: small, loadable, right where it claims to be, honest where it is not."""

import json
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from demo import corpus, evaluate, sums
from demo.tokenizer import encode

MODEL = evaluate.MODEL


@pytest.fixture(scope="module")
def guide() -> evaluate.Guide:
    """The committed model, loaded once."""
    return evaluate.Guide(MODEL)


def ask(guide: evaluate.Guide, *turns: str, system: str = "") -> str:
    """The last answer of a chat."""
    chat = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        chat.append({"role": "user", "content": turn})
        chat.append({"role": "assistant", "content": guide.answer([chat])[0]})
    return chat[-1]["content"]


def test_the_checkpoint_is_small() -> None:
    """It is committed, so every clone pays for it."""
    assert sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file()) <= 12_000_000


def test_the_card_quotes_the_score_of_these_weights() -> None:
    """A model that is trained again must be measured again."""
    data = json.loads((MODEL / "score.json").read_text(encoding="utf-8"))
    assert data["weights"] == evaluate.fingerprint(MODEL)
    table = {kind: (right, count) for kind, (right, count) in data["score"].items()}
    assert evaluate.render(table) in (MODEL / "README.md").read_text(encoding="utf-8")


def test_lessons_are_encoded_as_the_chat_template_writes_them() -> None:
    """Training writes ids by hand to know which to learn; the app uses the template; they must not part."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    for chat in (next(corpus.conversations(seed)) for seed in range(20)):
        ids, learn = encode(tokenizer, chat)
        assert ids == tokenizer.apply_chat_template(chat, return_dict=False)
        assert sum(learn) == sum(len(tokenizer.encode(m["content"])) + 1 for m in chat if m["role"] == "assistant")


def test_any_text_survives_the_tokenizer() -> None:
    """Byte-level: a newcomer's umlauts and emoji are read, and digits stay apart."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    text = "Grüße, 你好 🙂\n\ttabs `code` 12345"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("12345")) == 5


@pytest.mark.parametrize("system", ["", "You are the guide to Portico.", "You are a stern librarian who loves maps."])
@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What can you do?", "what-can-you-do"),
        ("How do I use my own model?", "own-model"),
        ("Which frontend should I choose?", "which-frontend"),
        ("How do I deploy it?", "deploy"),
    ],
)
def test_the_first_questions_are_answered(guide: evaluate.Guide, question: str, topic: str, system: str) -> None:
    """They are the examples on the page, and a system prompt must not throw them off."""
    assert ask(guide, question, system=system) == corpus.topics()[topic]["answer"].strip()


def test_the_long_story_is_long(guide: evaluate.Guide) -> None:
    """Browser tests stop this answer midway, so it has to last."""
    story = ask(guide, "Tell me the long story of Portico.")
    assert story == corpus.topics()["long-story"]["answer"].strip()
    assert len(guide.tokenizer.encode(story)) > 250


def test_sums_never_seen_are_right(guide: evaluate.Guide) -> None:
    """As often as the card says, give or take the size of the sample; and always the one on the page."""
    assert ask(guide, "What is 348 + 275?") == sums.add(348, 275)
    score = json.loads((MODEL / "score.json").read_text(encoding="utf-8"))["score"]
    claimed = sum(score[kind][0] for kind in ("sum", "difference")) / sum(score[kind][1] for kind in ("sum", "difference"))
    asked = list(evaluate.sum_questions("dev"))[:24]
    answers = evaluate.ask(guide, asked)
    hits = [evaluate.right(answer[0], question.expect[0]) for question, answer in zip(asked, answers, strict=True)]
    assert sum(hits) >= (claimed - 0.15) * len(hits)


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "How do I bake an apple pie?", "Who won the chess final?"]
)
def test_what_it_was_not_taught_it_says_so(guide: evaluate.Guide, question: str) -> None:
    """In one sentence, and no invented answer."""
    assert ask(guide, question) == corpus.REFUSAL


def test_it_remembers_a_name(guide: evaluate.Guide) -> None:
    """Two turns of small talk."""
    assert ask(guide, "My name is Ada", "What is my name?") == "Your name is Ada."


def test_links_and_flags_in_the_card_exist() -> None:
    """The card names files of this repository; they must be there."""
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    root = Path(__file__).parents[2]
    for name in re.findall(r"`(demo/[\w./]+)`", card):
        assert (root / name).exists(), name
