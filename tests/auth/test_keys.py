"""The server's secret, and what is sealed with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from auth.keys import MIN_SECRET, SecretError, Vault, read_or_make_secrets

OLD, NEW = "o" * MIN_SECRET, "n" * MIN_SECRET


def test_what_is_sealed_is_opened_again_and_cannot_be_read() -> None:
    vault = Vault([NEW])
    sealed = vault.seal(b"a value", "row")
    assert vault.open(sealed, "row") == b"a value"
    assert b"a value" not in sealed


def test_the_same_value_is_sealed_differently_each_time() -> None:
    vault = Vault([NEW])
    assert len({vault.seal(b"a value", "row") for _ in range(50)}) == 50


def test_a_value_is_good_in_its_own_row_alone() -> None:
    vault = Vault([NEW])
    with pytest.raises(SecretError):
        vault.open(vault.seal(b"a value", "ada"), "bo")


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_a_value_that_was_tampered_with_is_refused(at: int) -> None:
    vault = Vault([NEW])
    sealed = bytearray(vault.seal(b"a value", "row"))
    sealed[at] ^= 1
    with pytest.raises(SecretError):
        vault.open(bytes(sealed), "row")


@pytest.mark.parametrize("sealed", [b"", b"x", b"x" * 15, b"x" * 40])
def test_what_was_never_sealed_is_refused(sealed: bytes) -> None:
    with pytest.raises(SecretError):
        Vault([NEW]).open(sealed, "row")


def test_a_secret_is_rotated_by_listing_the_old_one_after_the_new() -> None:
    before = Vault([OLD]).seal(b"a value", "row")
    both = Vault([NEW, OLD])
    assert both.open(before, "row") == b"a value"
    assert not both.is_current(before), "so its row is to be sealed anew"
    anew = both.seal(b"a value", "row")
    assert both.is_current(anew)
    assert Vault([NEW]).open(anew, "row") == b"a value", "without the old secret"


def test_without_the_old_secret_the_error_says_what_to_do_and_shows_none() -> None:
    with pytest.raises(SecretError, match="List the old secret after the new one") as raised:
        Vault([NEW]).open(Vault([OLD]).seal(b"a value", "row"), "row")
    assert OLD not in str(raised.value)
    assert NEW not in str(raised.value)


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ([], "no secret"),
        ([""], "at least 32 characters"),
        (["x" * (MIN_SECRET - 1)], "at least 32 characters"),
        ([NEW, "short"], "at least 32 characters"),
    ],
)
def test_no_secret_and_a_short_one_are_refused(secrets: list[str], message: str) -> None:
    with pytest.raises(SecretError, match=message):
        Vault(secrets)


def test_the_first_start_makes_a_secret_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    made = read_or_make_secrets(tmp_path / "secret")
    assert len(made) == 1
    assert len(made[0]) == 64
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert read_or_make_secrets(tmp_path / "secret") == made, "the same again"
    assert read_or_make_secrets(tmp_path / "another") != made


def test_a_file_lists_one_secret_a_line_the_newest_first(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"\n{NEW}\n\n  {OLD}  \n")
    assert read_or_make_secrets(tmp_path / "secret") == [NEW, OLD]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty. Put your copy of it back"), (b" \n\n", "is empty"), (b"\xff\xfe\x00x", "is not text")],
)
def test_a_file_without_a_secret_is_refused_with_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SecretError, match=message):
        read_or_make_secrets(tmp_path / "secret")
