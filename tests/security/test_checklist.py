"""The map from the security checklist to the tests is whole and true."""

from __future__ import annotations

from tests.security.checklist import ITEMS, README, readme, shown


def test_each_number_has_a_test() -> None:
    found = shown()  # once: it reads every test
    assert len(ITEMS) == 56
    assert [number for number in range(1, len(ITEMS) + 1) if number not in found] == []
    assert max(found) <= len(ITEMS)


def test_the_readme_is_the_map() -> None:
    assert README.read_text(encoding="utf-8") == readme(), "run: python -m tests.security.checklist"
