"""A wrong setting in one sentence: it names the setting as the person wrote it, and never shows a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

PRIVATE = ("oidc", "secret", "database", "engine", "engine_key")  # what is in them, or in an URL, may be a secret
MESSAGES = {
    "missing": "is missing",
    "string_type": "give a text in quotes",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "tuple_type": 'give a list such as ["one", "two"]',
    "dict_type": "give a table for each provider, such as [oidc.google]",
    "model_type": "give a table with client_id and client_secret",
}


class WrongSetting(ValueError):
    """Something that is wrong with the setting at `path`, seen only beside others."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def sentence(error: ValidationError, overrides: Mapping[str, Any], environ: Mapping[str, str], file: Path) -> str:
    """What is wrong with the first wrong setting, and where that was written."""
    first = error.errors()[0]
    raised = first.get("ctx", {}).get("error")
    path = raised.path if isinstance(raised, WrongSetting) else tuple(one for one in first["loc"] if isinstance(one, str))
    if first["type"] == "extra_forbidden":
        return f"There is no setting {'.'.join(path)!r}. README.md and docs/sign-in.md list those there are."
    where = written(path, overrides, environ, file)
    if raised is not None:
        return f"{where}: {raised}."
    message = _message(first)
    shown = "" if path[0] in PRIVATE or first["type"] == "missing" else f"; {first['input']!r} was given"
    return f"{where}: {message}{shown}."


def _message(first: Any) -> str:
    if first["type"] == "literal_error":
        return f"choose {first['ctx']['expected']}"
    text: str = first["msg"]
    return MESSAGES.get(first["type"]) or text[:1].lower() + text[1:]


def written(path: tuple[str, ...], overrides: Mapping[str, Any], environ: Mapping[str, str], file: Path) -> str:
    """The setting's name as it was written: as a flag, a variable, or a key of the file."""
    if path[0] in overrides:
        return "--" + path[0].replace("_", "-")
    name = "PORTICO_" + "__".join(path).upper()
    section = name.rpartition("__")[0]  # a provider of which another part is a variable
    if any(one.upper() == name or (section and one.upper().startswith(section + "__")) for one in environ):
        return name
    return f"{'.'.join(path)} in {file}"


def variable_sentence(environ: Mapping[str, str]) -> str:
    """A whole table in one variable, which would have to be JSON."""
    name = next(
        (one for one in environ if one.upper() == "PORTICO_OIDC" or one.upper().startswith("PORTICO_OIDC__")), "PORTICO_OIDC"
    )
    return f"{name} cannot be read. Use PORTICO_OIDC__GOOGLE__CLIENT_ID and PORTICO_OIDC__GOOGLE__CLIENT_SECRET."
