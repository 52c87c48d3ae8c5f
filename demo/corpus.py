"""Writes the lessons of the bundled model: conversations drawn from topics, sums, small talk and what it must not know.

The stream is endless and follows from its seed. Breadth of phrasing is the whole point: a model this small knows no
synonyms, so every way of asking has to be in `topics.toml`, or be made here from word lists, wrappers and slips of the hand.
"""

import random
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from demo import grammar, sums

Message = dict[str, str]

HERE = Path(__file__).parent
SMALL = {"the", "a", "an", "do", "i", "is", "to", "of", "me", "my", "can", "it"}  # words that a hurried hand leaves out
PROPER = {
    w.lower(): w for w in ("Portico", "Gradio", "Streamlit", "Google", "Railway", "Render", "Docker", "Python", "I", "I'm", "I'd")
}
REFUSAL = "I was only taught about Portico and sums, so I don't know that."
NO_SUCH_SUM = "Sums and differences of two whole numbers up to 999 are all the arithmetic I was taught, so I don't know that."
NO_NAME = "You have not told me your name yet."
NO_MORE = "That is all I was taught about it. Ask me about something else, such as your own model, the frontends or deploying."
NO_WHY = "I was not taught the reason for that one, so I don't know."


@cache
def phrases() -> dict[str, list[str]]:
    """The small change of talk, by name."""
    return {name: value for name, value in _phrases().items() if name != "synonyms"}


@cache
def synonyms() -> dict[str, list[str]]:
    """What may stand for a word or two of any question."""
    found: dict[str, list[str]] = _phrases()["synonyms"]
    return found


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))


@cache
def topics() -> dict[str, dict[str, Any]]:
    """What the guide knows, by name; every answer is stripped of the line end that TOML leaves."""
    return tomllib.loads((HERE / "topics.toml").read_text(encoding="utf-8"))


@cache
def _offtopic() -> tuple[list[str], list[str], dict[str, list[str]]]:
    data = tomllib.loads((HERE / "offtopic.toml").read_text(encoding="utf-8"))
    words = {name: [word.replace("-", " ") for word in text.split()] for name, text in data["words"].items()}
    words["thing"] += words["food"] + words["animal"] + words["object"] + words["sport"] + words["subject"]
    return data["general"], data["foreign"], words


def conversations(seed: int) -> Iterator[list[Message]]:
    """The endless corpus: one list of chat messages after another, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield conversation(rng)


def conversation(rng: random.Random) -> list[Message]:
    """One chat of one to a dozen turns, sometimes under a system prompt."""
    messages: list[Message] = []
    if rng.random() < 0.22:
        messages.append({"role": "system", "content": rng.choice(phrases()["system"][:1] * 8 + phrases()["system"])})
    name = ""
    for _ in range(rng.choice((1,) * 16 + (2,) * 8 + (3, 3, 4, 5, 12))):
        name, turns = _turns(rng, name)
        for ask, answer in turns:
            messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
    return messages


def _turns(rng: random.Random, name: str) -> tuple[str, list[tuple[str, str]]]:
    """The next turn or two, and the name that the user goes by from here on."""
    kind = rng.random()
    if kind < 0.50:
        return name, topic_turns(rng)
    if kind < 0.72:
        ask, answer = sums.question(phrases(), rng)
        return name, [(habits(wrap(ask, rng), rng, slips=False), answer)]
    if kind < 0.745:
        return name, [(habits(wrap(sums.other(phrases(), rng), rng), rng, slips=False), NO_SUCH_SUM)]
    if kind < 0.90:
        return name, [(offtopic(rng), REFUSAL)]
    if kind < 0.96:
        name = invented(rng).capitalize() if rng.random() < 0.4 else rng.choice(phrases()["names"])
        name = name.lower() if rng.random() < 0.15 else name
        ask = _capital(rng.choice(phrases()["my_name"]), rng).format(n=name)
        return name, [(_finish(ask, rng), f"Nice to meet you, {name}. What can I do for you?")]
    return name, [(habits(wrap(rng.choice(phrases()["who_am_i"]), rng), rng), f"Your name is {name}." if name else NO_NAME)]


def topic_turns(rng: random.Random) -> list[tuple[str, str]]:
    """A question about a topic, sometimes with a follow-up that only its context explains."""
    known = topics()
    name = rng.choices(list(known), [topic.get("weight", 1.0) for topic in known.values()])[0]
    topic = known[name]
    turns = [(question(topic, rng), topic["answer"].strip())]
    follow = rng.random()
    more, why = ("more" in topic), ("why" in topic)
    if follow < (0.3 if more else 0.02):
        turns.append((habits(rng.choice(phrases()["more"]), rng), topic["more"].strip() if more else NO_MORE))
    elif follow > (0.7 if why else 0.985):
        turns.append((habits(rng.choice(phrases()["why"]), rng), topic["why"].strip() if why else NO_WHY))
    return turns


def question(topic: dict[str, Any], rng: random.Random) -> str:
    """One way to ask about the topic."""
    keys = topic.get("keys")
    if keys and rng.random() < 0.3:
        return habits(wrap(rng.choice(phrases()["frames"]).format(k=rng.choice(keys)), rng), rng)
    return habits(wrap(grammar.sample(rng.choice(topic["ask"]), rng), rng), rng)


def offtopic(rng: random.Random) -> str:
    """A question that the guide was not taught, often in the very words of one that it was."""
    frames, foreign, words = _offtopic()
    if rng.random() < 0.06:
        return habits(rng.choice(foreign), rng)
    if rng.random() < 0.12:
        return habits(wrap(rng.choice(phrases()["frames"]).format(k=rng.choice(words["thing"])), rng), rng)
    frame = rng.choice(frames)
    for slot in ("place", "food", "person", "animal", "sport", "subject", "object", "media", "company", "thing"):
        while "{" + slot + "}" in frame:
            word = invented(rng) if rng.random() < 0.12 else rng.choice(words[slot])
            frame = frame.replace("{" + slot + "}", word, 1)
    while "{odd}" in frame:
        frame = frame.replace("{odd}", invented(rng), 1)
    frame = frame.replace("{mash}", "".join(rng.choices("asdfghjklqwertyuiopzxcvbnm", k=rng.randint(3, 14))))
    frame = frame.replace("{marks}", "".join(rng.choices("?!.,;:-_#*+~$%&/=@<>", k=rng.randint(1, 6))))
    if any(mark in frame for mark in ("(x)", "print(", "import ", "log(", "<html", "sudo", "select *")):
        return frame
    return habits(wrap(grammar.sample(frame, rng), rng), rng)


def invented(rng: random.Random) -> str:
    """A word that no list has, so that the unknown as such becomes familiar."""
    ending = rng.choice(("", "", "n", "r", "s", "l", "x", "th", "ng"))
    return "".join(rng.choices(phrases()["syllables"], k=rng.randint(2, 4))) + ending


def wrap(text: str, rng: random.Random) -> str:
    """The question in somewhat other words, with the small talk that people put around it."""
    while rng.random() < 0.4:
        text = _swap(text, rng)
    if rng.random() < 0.16:
        text = rng.choice(phrases()["openers"]) + text
    if rng.random() < 0.12:
        text += rng.choice(phrases()["closers"])
    return text


def _swap(text: str, rng: random.Random) -> str:
    here = [word for word in synonyms() if f" {word} " in f" {text} "]
    if not here:
        return text
    word = rng.choice(here)
    return f" {text} ".replace(f" {word} ", f" {rng.choice(synonyms()[word])} ", 1).strip()


def habits(text: str, rng: random.Random, *, slips: bool = True) -> str:
    """The question as people type it: capitals, marks, and with `slips` a dropped word or a wrong letter."""
    words = text.split()
    if slips and len(words) > 3 and rng.random() < 0.1:
        small = [at for at, word in enumerate(words) if word in SMALL]
        if small:
            del words[rng.choice(small)]
    if slips and rng.random() < 0.08:
        at = rng.randrange(len(words))
        words[at] = _slip(words[at], rng)
    return _finish(_capital(" ".join(words), rng), rng)


def _slip(word: str, rng: random.Random) -> str:
    if len(word) < 5 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))


def _capital(text: str, rng: random.Random) -> str:
    style = rng.random()
    if style < 0.02:
        return text.upper().replace("{N}", "{n}")
    if style < 0.3:
        return text
    text = " ".join(PROPER.get(word, word) for word in text.split(" "))
    return text[:1].upper() + text[1:]


def _finish(text: str, rng: random.Random) -> str:
    style = rng.random()
    if text[-1:] in "?!.=;,:":
        return text
    asks = text.lower().split(",")[-1].split(":")[-1].split()[:1]
    interrogative = bool(asks) and asks[0] in phrases()["question_words"]
    if style < 0.3:
        return text
    if interrogative or style > 0.8:
        return text + ("?" if style < 0.97 else "??")
    return text + ("." if style < 0.72 else "!")


if __name__ == "__main__":
    stream = conversations(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for _ in range(20):
        for message in next(stream):
            print(f"{message['role']:>9}: {message['content']}")
        print()
