"""The model hub: files with progress, the number of parameters before any weights, and its errors as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import ModelNotFound, NoSafetensors

Report = Callable[[int, int], None]

STEP_BYTES = 1_000_000


def download(hub_id: str, revision: str, patterns: list[str], report: Report = lambda done, total: None) -> Path:
    """The folder with the files of a model that match `patterns`, from the cache or the hub; raises ModelNotFound."""
    from huggingface_hub import constants, snapshot_download

    # Where the hub speaks plain HTTP, the client counts by its chunks; at 10 MB each, a slow line seems to stand still.
    constants.DOWNLOAD_CHUNK_SIZE = STEP_BYTES
    with _hub_errors(hub_id, revision):
        return Path(
            snapshot_download(hub_id, revision=revision or None, allow_patterns=patterns, tqdm_class=reporting_bar(report))
        )


def parameters(hub_id: str, revision: str) -> int:
    """The number of parameters, from the headers of the safetensors on the hub; no weights are read."""
    from huggingface_hub import HfApi

    with _hub_errors(hub_id, revision):
        metadata = HfApi().get_safetensors_metadata(hub_id, revision=revision or None)
    return sum(metadata.parameter_count.values())


@contextmanager
def _hub_errors(name: str, revision: str) -> Iterator[None]:
    """The hub client's errors as sentences that say what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.NotASafetensorsRepoError:
        raise NoSafetensors(name) from None
    except errors.GatedRepoError:
        raise ModelNotFound(
            name, "its owner asks for your consent first. Give it on the model's page, then set HF_TOKEN."
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelNotFound(name, f"it has no revision {revision!r}. Leave out the part from @ on.") from None
    except errors.RepositoryNotFoundError:
        raise ModelNotFound(name, "the hub has no model of that name, or it is private (then set HF_TOKEN).") from None
    except errors.HFValidationError:
        raise ModelNotFound(name, "this is no name of a model on the hub.") from None
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError) as error:
        raise ModelNotFound(
            name, f"the model hub could not be reached ({type(error).__name__}) and no copy lies on this machine. "
            "Check the network, or give --model a folder."
        ) from error  # fmt: skip


def reporting_bar(report: Report) -> type[Any]:
    """A tqdm class that draws nothing and reports the bytes that a download has written."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts = kwargs.get("unit") == "B" and kwargs.pop("name", None) != "huggingface_hub.snapshot_download.transfer"
            kwargs.pop("name", None)
            self._told = (0, 0)
            super().__init__(*args, **{**kwargs, "file": Nowhere()})

        def refresh(self, *args: Any, **kwargs: Any) -> Any:
            self._tell()  # the client tells a total by this alone, on a slow line seconds before the first bytes
            return super().refresh(*args, **kwargs)

        def update(self, n: float | None = 1) -> bool | None:
            updated = super().update(n)
            self._tell()
            return updated

        def _tell(self) -> None:
            now = (int(self.n), int(self.total or 0))
            if self._counts and now != self._told:  # tqdm's own thread refreshes bars of downloads that are over, too
                self._told = now
                report(*now)

    return Bar


class Nowhere:
    """A file that swallows what a progress bar draws."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...
