"""What people write where a model is wanted is a folder, a hub id or a sentence: never an error of the system."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ModelNotFound
from core.references import existing_folder, name_of, parse_reference, split_name

TOO_LONG = "/" + "x" * 300


@pytest.mark.parametrize("text", ["~nobody-of-this-name/x", TOO_LONG, "./" + "x" * 300, "a\0b", "/proc/self/fd/99/x"])
def test_what_the_system_cannot_look_at_is_no_folder(text: str) -> None:
    assert existing_folder(text) is None
    assert name_of(text) == text
    with pytest.raises(ModelNotFound, match="there is no such folder"):
        parse_reference(text)
    assert split_name(f"mine={text}") == ("mine", text)


@pytest.mark.parametrize("error", [PermissionError, OSError, RuntimeError, ValueError])
def test_a_folder_that_may_not_be_looked_into_is_none(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may look anywhere."""

    def refuse(self: Path) -> bool:
        raise error(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert existing_folder("/root/model") is None
