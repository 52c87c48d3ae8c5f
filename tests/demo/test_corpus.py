"""The corpus says nothing but what it should, and none of the held-out questions."""

import itertools
import json
import random
import re

import pytest

from demo import corpus, evaluate, grammar, sums

ASKED = [(question.kind, ask) for split in ("dev", "test") for question in evaluate.questions(split) for ask in question.ask]


def choice(phrases: list[str]) -> str:
    """A regular expression for any of these, as normalised text."""
    return "(?:" + "|".join(re.escape(grammar.normalise(phrase)) for phrase in phrases) + ")"


@pytest.fixture(scope="module")
def corpus_regex() -> re.Pattern[str]:
    """Everything that the topics' grammar can ask, with its openers and closers."""
    said = corpus.phrases()
    keys = [key for topic in corpus.topics().values() for key in topic.get("keys", [])]
    framed = [re.escape(grammar.normalise(f.replace("{k}", "keyword"))).replace("keyword", choice(keys)) for f in said["frames"]]
    asked = [grammar.regex(pattern) for topic in corpus.topics().values() for pattern in topic["ask"]]
    small = choice([*said["more"], *said["why"], *said["who_am_i"]])
    names = [
        re.escape(grammar.normalise(phrase.replace("{n}", "nnn"))).replace("nnn", choice(said["names"]))
        for phrase in said["my_name"]
    ]
    body = "|".join([*framed, *asked, small, *names])
    return re.compile(rf"(?:{choice(said['openers'])} *)?(?:{body}) *(?:{choice(said['closers'])})?")


@pytest.mark.parametrize(("kind", "ask"), ASKED, ids=[ask for _, ask in ASKED])
def test_a_held_out_question_is_none_that_the_grammar_can_ask(corpus_regex: re.Pattern[str], kind: str, ask: str) -> None:
    """Else the score would measure memory instead of what the model makes of a new phrasing."""
    text = " ".join(grammar.normalise(ask).split())
    assert not corpus_regex.fullmatch(text)


def test_no_held_out_question_is_in_a_large_sample() -> None:
    """The same for off-topic questions, whose word lists are no grammar."""
    held = {grammar.normalise(ask) for _, ask in ASKED}
    sample = itertools.islice(corpus.conversations(1), 8_000)
    said = {grammar.normalise(message["content"]) for chat in sample for message in chat if message["role"] == "user"}
    assert not held & said


def test_the_regex_knows_what_the_grammar_says(corpus_regex: re.Pattern[str]) -> None:
    """The test above is worth something only if a phrasing of the corpus would be caught."""
    rng = random.Random(5)
    for topic in corpus.topics().values():
        asked = rng.choice(corpus.phrases()["openers"]) + grammar.sample(rng.choice(topic["ask"]), rng)
        assert corpus_regex.fullmatch(grammar.normalise(asked)), asked


def test_a_seed_gives_one_corpus() -> None:
    """Training is reproducible only if its lessons are."""
    first, again, other = (list(itertools.islice(corpus.conversations(seed), 300)) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_held_out_sums_are_never_taught() -> None:
    """The evaluation asks for pairs that the corpus leaves out, in either order."""
    rng = random.Random(6)
    for _ in range(3000):
        ask, answer = sums.question(corpus.phrases(), rng)
        a, b = (int(number) for number in re.findall(r"\d+", answer.rsplit("**", 2)[1].split("=")[0]))
        assert not any(map(sums.held_out, (a, b), (b, a))), ask


@pytest.mark.parametrize(("a", "b"), [(348, 275), (999, 999), (0, 0), (7, 995), (90, 10), (100, 99), (5, 803), (623, 275)])
def test_the_lessons_do_sums_right(a: int, b: int) -> None:
    """A wrong lesson would be learnt as well as a right one."""
    assert sums.add(a, b).endswith(f"**{a} + {b} = {a + b}**")
    assert sums.subtract(a, b).endswith(f"**{a} - {b} = {a - b}**")
    for line in (sums.add(a, b) + "\n" + sums.subtract(a, b)).splitlines():
        if line.startswith("- "):
            work, result = line.split(": ")[1].split(",")[0].split(" = ")
            assert eval(work) == int(result), line


def test_topics_are_enough_and_answers_are_their_own() -> None:
    """Two topics with one answer would hide a mix-up; the issue asks for breadth."""
    answers = [topic["answer"] for topic in corpus.topics().values()]
    assert len(answers) == len(set(answers)) > 100


def test_every_question_of_the_evaluation_expects_something_known() -> None:
    """A typing error in questions.jsonl would else count as a failure of the model."""
    for line in (corpus.HERE / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        assert len(question["ask"]) == len(question["expect"])
        for expected in question["expect"]:
            name, _, part = expected.partition(".")
            assert expected[0] in "*=" or expected == "REFUSAL" or (part or "answer") in corpus.topics()[name]
