"""Where a Router's models come from: folders and the model hub, or another server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from core import models
from core.engine import LocalEngine, Runner
from core.engine.room import Found, Report
from core.errors import ModelError, ModelNotFound
from core.references import parse_reference

MOST_REMOTE = 32  # each has a thread and connections of its own


class LocalModels:
    """Models of this machine's folders and of the hub, computed here.

    `budget` is in bytes, for the whole process. `importing()` is held while large libraries are imported. What was loaded from
    the hub is loaded again at the same commit, for which the hub need not be asked; who runs Portico anew gets the latest.
    """

    def __init__(self, budget: int, importing: Callable[[], AbstractContextManager[object]]) -> None:
        self._budget, self._importing = budget, importing
        self._commits: dict[str, str] = {}  # of each reference that was loaded from the hub

    def identify(self, reference: str) -> tuple[str, str, int]:
        parsed = parse_reference(reference)
        return parsed.name, str(parsed.folder or reference), models.weigh(parsed)

    def find(self, reference: str, report: Report) -> Found:
        parsed = parse_reference(reference)
        if commit := self._commits.get(reference) if parsed.hub_id else None:
            parsed = replace(parsed, revision=commit)
        checked = models.find_model(parsed, self._budget, self._importing(), report)
        return Found(
            partial(self._load, reference, checked), checked.weights, checked.context_cache,
            models.sampling_defaults(checked.folder),
        )  # fmt: skip

    def _load(self, reference: str, checked: models.Checked, cache_bytes: int, report: Report) -> LocalEngine:
        runner = models.load_model(checked, self._importing(), report, cache_bytes)
        if runner.model.revision:
            self._commits[reference] = runner.model.revision
        return LocalEngine(runner)


class RemoteModels:
    """The models of a server with OpenAI's API at `url`."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url, self._api_key = url, api_key

    def names(self) -> list[str]:
        """All that the server lists. Raises ModelError, also if they are too many to offer all."""
        from core.engine.remote import list_models

        names = [info.name for info in list_models(self._url, self._api_key)]
        if len(names) > MOST_REMOTE:
            raise ModelError(
                f"The engine at {self._url} has {len(names)} models. Choose with --model, such as --model {names[0]}."
            )
        return names

    def identify(self, reference: str) -> tuple[str, str, int]:
        return reference, reference, 0

    def find(self, reference: str, report: Report) -> Found:
        from core.engine.remote import RemoteEngine, list_models

        (info,) = list_models(self._url, self._api_key, (reference,))
        return Found(lambda cache_bytes, report: RemoteEngine(self._url, self._api_key, info))


class GivenModel:
    """One runner that is there already."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def identify(self, reference: str) -> tuple[str, str, int]:
        if reference != self._runner.model.name:
            raise ModelNotFound(reference, f"{self._runner.model.name!r} is the only one here.")
        return reference, reference, 0

    def find(self, reference: str, report: Report) -> Found:
        return Found(lambda cache_bytes, report: LocalEngine(self._runner))
