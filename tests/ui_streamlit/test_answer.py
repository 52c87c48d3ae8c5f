"""What becomes of a model's Markdown, and of the figures under it."""

from __future__ import annotations

import time

import pytest

from ui_streamlit.answer import blocks, markdown, plain

LONG = """Intro line
goes on.

- one

- two

      code of two

```python
a = 1

b = 2
```

| a | b |
|---|---|
| 1 | 2 |

The end."""


def test_blocks_are_cut_only_where_markdown_surely_ends_one() -> None:
    assert [block.strip() for block in blocks(LONG)] == [
        "Intro line\ngoes on.\n\n- one\n\n- two\n\n      code of two",
        "```python\na = 1\n\nb = 2\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "The end.",
    ]


def test_blocks_lose_nothing_and_only_the_last_one_changes_as_text_grows() -> None:
    """What was sent once is never sent again: else a long answer costs bytes by the square of its length."""
    before: list[str] = [""]
    for end in range(1, len(LONG) + 1):
        now = blocks(LONG[:end])
        assert "".join(now) == LONG[:end]
        assert now[: len(before) - 1] == before[:-1]
        before = now


def test_no_text_is_one_empty_block() -> None:
    assert blocks("") == [""]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![a cat](https://evil.example/cat.png)", "[a cat](https://evil.example/cat.png)"),
        ("![a][b]\n\n[b]: https://evil.example", "[a][b]\n\n[b]: https://evil.example"),
        ("`![code]` and ``let v = vec![`x`]``", "`![code]` and ``let v = vec![`x`]``"),
        ("```rust\nlet v = vec![1];\n$5 $6\n```", "```rust\nlet v = vec![1];\n$5 $6\n```"),
        ("```rust\nlet v = vec![1];", "```rust\nlet v = vec![1];"),
        ("it costs $5 or $10", "it costs \\$5 or \\$10"),
        ("already \\$5", "already \\$5"),
        ("so $E=mc^2$ and $$\nx^2\n$$", "so $E=mc^2$ and $$\nx^2\n$$"),
        (r"so \(E=mc^2\) here", "so $E=mc^2$ here"),
        ("so\n\\[ x^2 \\]\nhere", "so  \n$$\nx^2\n$$  \nhere"),
    ],
)
def test_images_become_links_money_stays_money_and_formulas_and_code_stay_as_they_are(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_a_label_shows_its_text_as_it_is() -> None:
    assert plain("**b** :red[x]") == "\\*\\*b\\*\\* \\:red\\[x\\]"
    assert plain("Zwölf, bitte") == "Zwölf\\, bitte"


def test_what_might_be_an_image_to_another_parser_is_parted_in_code_too() -> None:
    hostile = "`a\n# ![x](https://evil.example/x.png) `"
    assert "![" not in markdown(hostile)
    assert "![" not in markdown("- a\n\n  ```\n\n![x](https://evil.example/x.png)\n")
    assert markdown("```\nvec![1]\n```") == "```\nvec![1]\n```"


def test_a_hostile_answer_costs_little_time() -> None:
    """Twelve times a second, with the lock of the whole process held: a pattern must not take the square of the length."""
    for opening in ("\\[", "\\(", "$$", "`", "$", "```"):
        started = time.process_time()
        markdown(opening * 8000 + "x")
        assert time.process_time() - started < 1.5, opening
