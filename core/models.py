"""Which model was meant, whether it can be served here, and loading it with progress. Checked before any weights are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from core import hub
from core.engine.room import cache_bytes_per_token
from core.errors import ModelError, ModelNotFound, ModelTooLarge, NoSafetensors, NotAChatModel
from core.references import Reference, parse_reference
from core.types import ModelInfo, SamplingParams

if TYPE_CHECKING:
    from core.engine import Runner

__all__ = [
    "BASE_BYTES", "Checked", "Reference", "find_model", "load_model", "memory_limit", "memory_needed", "parse_reference",
    "sampling_defaults", "weigh",
]  # fmt: skip

Report = Callable[[int, int], None]

BASE_BYTES = 700_000_000  # Python with torch, transformers and both frontends, and what torch keeps between steps; no weights
WORKING_SHARE = 1.1  # what a step computes with, beside the weights
SMALL_FILES = ["*.json", "*.jinja", "*.txt", "*.model"]  # config and tokenizer; of weights only safetensors: pickles run code
WEIGHTS = "model*.safetensors"  # not a second copy in another layout, such as consolidated.safetensors
MAX_DEFAULT_TOKENS = 512
BYTES = {"float32": 4, "bfloat16": 2}
CARD_SHARE = 0.8  # of a GPU's free memory, for the key-value cache
UNKNOWN_CACHE = 10**6  # tokens, where a config does not tell what one takes


@dataclass(frozen=True, slots=True)
class Checked:
    """A model that can be served here. `dtype` is what its weights will be computed in."""

    reference: Reference
    folder: Path
    config: dict[str, Any]
    parameters: int
    dtype: str

    @property
    def weights(self) -> int:
        """What they take when they are loaded, in bytes, with what a step computes with."""
        return weights_needed(self.parameters + self._held_twice, BYTES[self.dtype])

    @property
    def _held_twice(self) -> int:
        """Parameters of an output layer that is the input embedding, too: laid out for the CPU, it is kept as both."""
        text = self.config.get("text_config") or self.config
        tied = self.dtype == "float32" and (text.get("tie_word_embeddings") or self.config.get("tie_word_embeddings"))
        return int(text.get("vocab_size", 0)) * int(text.get("hidden_size") or text.get("n_embd") or 0) if tied else 0

    @property
    def token_cache(self) -> int:
        """What the key-value cache of one token takes, in bytes; 0 if the config does not tell."""
        return cache_bytes_per_token(self.config, BYTES[self.dtype])

    @property
    def context_cache(self) -> int:
        """What the key-value cache of one request as long as the model's context takes, in bytes."""
        return _context(self.config, 10**9) * self.token_cache


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The bytes this process may use: the cgroup's limit (version 2, then 1) where one is set, else the machine's memory."""
    total = int(psutil.virtual_memory().total)
    for file in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        try:
            return min(int(file.read_text()), total)
        except (OSError, ValueError):  # no such cgroup, or "max"
            continue
    return total


def find_model(reference: Reference, budget: int, importing: AbstractContextManager[object], report: Report) -> Checked:
    """Find, check and, from the hub, download a model; `report(done, total)` counts bytes.

    Holds `importing` while it imports large libraries, and never while it asks the hub. `budget` is in bytes, for the whole
    process. Raises ModelError, before the download if the model is not there, is no chat model, or does not fit.
    """
    checked = _check(reference, budget, importing)
    if not reference.hub_id:
        return checked
    folder = hub.download(reference.hub_id, reference.revision, [*SMALL_FILES, WEIGHTS], report)  # completes one that was cut off
    parameters = _local_parameters(reference, folder)
    return Checked(reference, folder, checked.config, parameters, _fitting_dtype(reference, parameters, budget))


def load_model(checked: Checked, importing: AbstractContextManager[object], report: Report, cache_bytes: int) -> Runner:
    """Load the weights; `report(done, total)` counts tensors. Raises ModelError if they do not fit the config.

    Holds `importing` while it imports large libraries. `cache_bytes` is the most that its key-value cache may take.
    """
    with importing:
        import torch
        import transformers
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
        from transformers.utils import logging as transformers_logging

        from core.engine.opening import open_runner

        # The model's own class is the largest import of these; from_pretrained() would do it later, beside a frontend's.
        getattr(transformers, str(_model_class(checked.config)))
        auto_class = AutoModelForSeq2SeqLM if _is_seq2seq(checked.config) else AutoModelForCausalLM
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(checked.folder, trust_remote_code=False)
        with _weights_progress(transformers_logging, report):
            model = auto_class.from_pretrained(
                checked.folder, dtype=getattr(torch, checked.dtype), use_safetensors=True, trust_remote_code=False
            )
            model = model.to(device).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{checked.reference.name!r} could not be loaded: {reason}") from error
    info = ModelInfo(
        name=checked.reference.name, revision=_revision(checked), context=_context(checked.config, tokenizer.model_max_length),
        parameters=checked.parameters, device=device, dtype=checked.dtype, memory=checked.weights + cache_bytes,
    )  # fmt: skip
    if device == "cuda":  # what the host's memory allows may be more than the card has left
        cache_bytes = min(cache_bytes, int(CARD_SHARE * torch.cuda.mem_get_info()[0]))
    capacity = cache_bytes // checked.token_cache if checked.token_cache else UNKNOWN_CACHE
    return open_runner(model, tokenizer, info, capacity, cache_bytes)


def sampling_defaults(folder: Path) -> SamplingParams:
    """What the model's generation_config.json recommends, within the chat Task's bounds; 0.7 where it says nothing."""
    given = _read_json(folder / "generation_config.json") or {}

    def within(name: str, default: float, least: float, most: float) -> float:
        return min(max(float(given.get(name) or default), least), most)

    return SamplingParams(
        temperature=0.0 if given.get("do_sample") is False else within("temperature", 0.7, 0, 2),
        top_p=within("top_p", 1, 0.05, 1),
        top_k=int(within("top_k", 0, 0, 200)),
        min_p=within("min_p", 0, 0, 1),
        repetition_penalty=within("repetition_penalty", 1, 1, 2),
        max_tokens=int(within("max_new_tokens", MAX_DEFAULT_TOKENS, 1, 10**6)),
    )


def _check(reference: Reference, budget: int, importing: AbstractContextManager[object]) -> Checked:
    """The model as its small files and the headers of its weights tell; from the hub, no weights are there yet."""
    folder = reference.folder or hub.download(reference.hub_id, reference.revision, SMALL_FILES)
    config = _read_json(folder / "config.json")
    if config is None:
        raise _no_config(reference)
    # What files and headers tell comes first: it takes no large import, so a wrong model is refused within a second or two.
    _check_template(reference, folder)
    known = list(folder.glob(WEIGHTS))
    parameters = (
        hub.parameters(reference.hub_id, reference.revision)
        if reference.hub_id and not known
        else _local_parameters(reference, folder)
    )
    if memory_needed(parameters, 2) > budget:
        raise ModelTooLarge(reference.name, memory_needed(parameters, 2), budget)
    with importing:
        _check_type(reference, config)
        dtype = _fitting_dtype(reference, parameters, budget)
    return Checked(reference, folder, config, parameters, dtype)


def _local_parameters(reference: Reference, folder: Path) -> int:
    from safetensors import SafetensorError, safe_open

    total = 0
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        raise NoSafetensors(reference.name)
    for file in files:
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118 (it is no mapping)
                    size = 1
                    for side in opened.get_slice(name).get_shape():
                        size *= side
                    total += size
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file.name} of {reference.name!r} is damaged: {error}. Download it again.") from None
    return total


def _no_config(reference: Reference) -> ModelNotFound:
    where = str(reference.folder or reference.name)
    return ModelNotFound(where, "it has no config.json. Give a folder that save_pretrained() wrote, or a hub id.")


def _check_template(reference: Reference, folder: Path) -> None:
    templates = (folder / "chat_template.jinja", folder / "chat_template.json")
    tokenizer = _read_json(folder / "tokenizer_config.json") or {}
    if not any(file.is_file() for file in templates) and not tokenizer.get("chat_template"):
        raise NotAChatModel(reference.name, "its tokenizer has no chat template.")


def _check_type(reference: Reference, config: dict[str, Any]) -> None:
    kind, architectures = config.get("model_type"), config.get("architectures") or []
    if _model_class(config) is None:
        if config.get("auto_map"):
            raise NotAChatModel(reference.name, "it needs code of its own from its repository, and Portico runs none.")
        raise NotAChatModel(reference.name, f"its type {kind!r} does not generate text in transformers.")
    if architectures and not any(
        name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")) for name in architectures
    ):
        raise NotAChatModel(reference.name, f"it is a {architectures[0]}.")


def _is_seq2seq(config: dict[str, Any]) -> bool:
    """Whether a model is an encoder-decoder as a whole: BART's decoder, for one, is a type that generates text alone."""
    from transformers.models.auto import modeling_auto

    kind, whole = config.get("model_type"), modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
    alone = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return kind in whole and (kind not in alone or whole[kind] in (config.get("architectures") or []))


def _model_class(config: dict[str, Any]) -> str | None:
    """The name of the class of transformers that a model is loaded with; None if it has none that generates text."""
    from transformers.models.auto import modeling_auto

    if _is_seq2seq(config):
        return str(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES[config["model_type"]])
    name = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.get("model_type"))
    return None if name is None else str(name)


def _fitting_dtype(reference: Reference, parameters: int, budget: int) -> str:
    """float32 on a CPU, where it is the fastest, or bfloat16 if only that fits, and on a GPU. Raises ModelTooLarge."""
    import torch

    if not torch.cuda.is_available() and memory_needed(parameters, 4) <= budget:
        return "float32"
    if memory_needed(parameters, 2) > budget:
        raise ModelTooLarge(reference.name, memory_needed(parameters, 2), budget)
    return "bfloat16"


def memory_needed(parameters: int, bytes_each: int) -> int:
    """The whole process's memory in bytes while a model of that size serves, its key-value cache not counted."""
    return BASE_BYTES + weights_needed(parameters, bytes_each)


def weights_needed(parameters: int, bytes_each: int) -> int:
    """What weights take when they are loaded, in bytes, with what a step computes with."""
    return int(parameters * bytes_each * WORKING_SHARE)


def weigh(reference: Reference) -> int:
    """The least in bytes that a model's weights take, by the headers of its files; 0 if they are not here. Raises ModelError."""
    if reference.folder is None:
        return 0
    if not (reference.folder / "config.json").is_file():
        raise _no_config(reference)
    return weights_needed(_local_parameters(reference, reference.folder), BYTES["bfloat16"])


def _context(config: dict[str, Any], tokenizer_limit: int) -> int:
    text = config.get("text_config") or config
    positions = next((text[name] for name in ("max_position_embeddings", "n_positions") if text.get(name)), 4096)
    return min(int(positions), int(min(tokenizer_limit, 10**9)))


def _revision(checked: Checked) -> str:
    """The commit that the hub served, which names the snapshot's folder."""
    return checked.folder.name if checked.reference.hub_id else ""


def _read_json(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _counted(items: Collection[Any], report: Report) -> Iterator[Any]:
    for done, item in enumerate(items):
        report(done, len(items))
        yield item
    report(len(items), len(items))


@contextmanager
def _weights_progress(transformers_logging: Any, report: Report) -> Iterator[None]:
    """Reports each tensor that Transformers loads, through the hook that it offers for its own progress bars."""

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") == "Loading weights" and args:
            return _counted(args[0], report)
        return factory(*args, **{**kwargs, "file": hub.Nowhere()})

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)
