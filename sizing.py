"""What `doctor` says of the models: the memory's limit and what each takes of it, or whether the engine's server has them.

Of a model that is computed here it looks at the files that are on this machine, and asks no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from auth.doctor.finding import Finding, note, ok, plain, warning, wrong
from core import models
from core.engine.remote_models import list_models
from core.engine.room import Found, least_needed
from core.errors import ModelError, ModelNotFound, gigabytes
from core.references import Reference, parse_reference

if TYPE_CHECKING:
    from core.settings import Settings

MEMORY, ENGINE = "Memory", "Engine"
PATIENCE_S = 5.0  # for the engine's server: whoever runs doctor looks on


def check_memory(settings: Settings) -> Iterator[Finding]:
    """The limit, and whether the models of the settings fit it."""
    if settings.engine != "local":
        yield note(MEMORY, f"Models run at {settings.engine}, so memory is that server's matter.")
        yield check_engine(settings)
        return
    budget = int(settings.memory or models.memory_limit())
    whose = "by --memory" if settings.memory else "what this machine or its container has; --memory sets a lower one"
    text = f"The limit is {gigabytes(budget)}, {whose}. Portico takes about {gigabytes(models.BASE_BYTES)} of it without a model."
    if (left := budget - models.BASE_BYTES) <= 0:
        yield wrong(MEMORY, f"{text} Nothing is left for a model: raise --memory.")
        return
    yield ok(MEMORY, text)
    needed = []
    for name, reference in settings.models:
        found, needs = check_model(name, reference, left)
        needed.append(needs)
        yield found
    if max(needed) <= left < sum(needed):
        yield warning(
            MEMORY,
            f"Together they need {gigabytes(sum(needed))}, and {gigabytes(left)} is there for them: whichever was asked least "
            "lately leaves, and is loaded again when it is asked. Raise --memory if that is too slow.",
        )


def check_engine(settings: Settings) -> Finding:
    """Whether the server of `--engine` answers, takes the key and has the models of the settings."""
    key = settings.engine_key.get_secret_value() if settings.engine_key else ""
    try:
        found = list_models(settings.engine, key, [reference for _, reference in settings.models], PATIENCE_S)
    except ModelError as error:
        return wrong(ENGINE, plain(error.message))
    names = ", ".join(one.name for one in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    return ok(ENGINE, f"{settings.engine} answers, and serves {plain(names)}.")


def check_model(name: str, text: str, left: int) -> tuple[Finding, int]:
    """What one model takes of the `left` bytes; and how many it needs at least, 0 if that is not known."""
    try:
        reference = parse_reference(text)
        name = name or reference.name
        folder = reference.folder or fetched(reference)
        if folder is None:
            return note(MEMORY, f"{plain(name)} is not on this machine yet. What it takes is known when it was fetched."), 0
        found, says = size(Reference(name, folder), folder, left)
    except ModelError as error:
        return wrong(MEMORY, error.message), 0
    needs = least_needed(found)
    says = f"{plain(name)}: {says}"
    if needs > left:
        return wrong(MEMORY, f"{says} {gigabytes(left)} is there for it: choose a smaller model, or raise --memory."), needs
    return ok(MEMORY, f"{says} It fits."), needs


def size(reference: Reference, folder: Path, left: int) -> tuple[Found, str]:
    """What a model takes, as it would be loaded on a CPU; and the same in words. Raises ModelError."""
    half = models.weigh(reference)
    dtype, weights = ("float32", 2 * half) if 2 * half <= left else ("bfloat16", half)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError(f"The config.json of {reference.name!r} cannot be read. Get the model again.") from None
    checked = models.Checked(reference, folder, config, 0, dtype)
    cache = f"{gigabytes(1000 * checked.token_cache)} for each 1,000 tokens of a chat" if checked.token_cache else "not known"
    found = Found(lambda *_: _never(), weights, checked.context_cache)
    return found, f"about {gigabytes(weights)} for its weights in {dtype}; its key-value cache takes {cache}."


def _never() -> NoReturn:
    raise AssertionError("doctor loads nothing")


def fetched(reference: Reference) -> Path | None:
    """The folder in the hub's cache with all of a model's files, None if it lacks some. Raises ModelNotFound."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(reference.hub_id, "config.json", revision=reference.revision or None)
    except HFValidationError:
        raise ModelNotFound(reference.hub_id, "this is no name of a model on the hub.") from None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if any(folder.glob(models.WEIGHTS)) else None
