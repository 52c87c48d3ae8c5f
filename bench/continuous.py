"""Transformers' own continuous batching behind Portico's Engine protocol, so that the two can be measured side by side.

Rows (t) and, with an attention function for CPUs, (T).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from bench.servers import BATCH_REQUESTS, BATCH_TOKENS, BLOCKS, PAGE
from core.engine import Engine, Request
from core.errors import Interrupted, PromptTooLong, Stopping, error_code, screen_message
from core.types import Delta, Emit, Failed, Finished, ModelInfo, Started, Usage

GPU_BLOCKS, GPU_BATCH_TOKENS, GPU_REQUESTS = 512, 2048, 256  # pages of 256 tokens there


class ContinuousEngine:
    """`model.init_continuous_batching` as an Engine. Greedy alone: sampling parameters belong to the whole batch there."""

    def __init__(self, info: ModelInfo, model: Any, tokenizer: Any, config: Any, attention: str = "") -> None:
        self.model, self._tokenizer = info, tokenizer
        self._network, self._config, self._attention = model, config, attention
        self._jobs: dict[str, tuple[Emit, Any, int]] = {}
        self._lock, self._closed = threading.Lock(), False
        self._manager = self._start()

    @property
    def busy(self) -> int:
        return len(self._jobs)

    def submit(self, request: Request, emit: Emit) -> None:
        try:
            new = request.params.max_tokens
            prompt = self._encode(request)
            room = max(self._config.page_size * self._config.num_blocks - new, 0)
            if len(prompt) > room:  # it would kill the manager's thread, and everybody's request with it
                raise PromptTooLong(len(prompt), room)
            with self._lock:
                if self._closed:
                    raise Stopping()
                if not self._manager.is_running():
                    self._manager = self._start()
                self._jobs[request.id] = (emit, self._decoder(), 0)
            emit(Started())
            self._manager.add_request(prompt, request_id=request.id, max_new_tokens=new, streaming=True, eos_token_id=-1)
        except Exception as error:
            emit(Failed(screen_message(error), error_code(error)))

    def cancel(self, request_id: str) -> None:
        with self._lock:
            job = self._jobs.pop(request_id, None)
        if job:
            self._manager.cancel_request(request_id)
            job[0](Finished(Usage(tokens=job[2]), "cancelled"))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            jobs, self._jobs = list(self._jobs.values()), {}
        for emit, _, _ in jobs:
            emit(Failed(Interrupted().message))
        self._manager.stop(block=True, timeout=1, hard_stop=True)

    def _encode(self, request: Request) -> list[int]:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        return list(self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))

    def _decoder(self) -> Any:
        from tokenizers.decoders import DecodeStream

        stream, backend = DecodeStream(skip_special_tokens=True), self._tokenizer.backend_tokenizer
        return lambda token: stream.step(backend, token) or ""

    def _start(self) -> Any:
        from transformers import GenerationConfig

        self._network.set_attn_implementation("sdpa")
        manager = self._network.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0),
            continuous_batching_config=self._config,
        )
        if self._attention:  # the manager refuses names that it does not know, but only here
            self._network.set_attn_implementation(self._attention)
        manager.start()
        threading.Thread(target=self._deliver, args=(manager,), daemon=True).start()
        return manager

    def _deliver(self, manager: Any) -> None:
        for output in manager:
            with self._lock:
                job = self._jobs.get(output.request_id)
                if job is None:  # cancelled
                    continue
                emit, decode, told = job
                if output.is_finished():
                    del self._jobs[output.request_id]
                else:
                    self._jobs[output.request_id] = (emit, decode, len(output.generated_tokens))
            for token in output.generated_tokens[told:]:
                emit(Delta(decode(token)))
            if output.error:
                emit(Failed(output.error))
            elif output.is_finished():
                emit(Finished(Usage(len(output.prompt_ids), len(output.generated_tokens)), "length"))


def engine(folder: Path, device: str, cpu_attention: bool = False) -> Engine:
    """The engine over the model in `folder`; `cpu_attention` puts bench/paged_attention.py in the place of its own."""
    from transformers import AttentionInterface, ContinuousBatchingConfig

    from bench.contestant import load
    from bench.paged_attention import attend

    model, tokenizer = load(folder, device)
    cuda = device == "cuda"
    config = ContinuousBatchingConfig(
        page_size=256 if cuda else PAGE,
        num_blocks=GPU_BLOCKS if cuda else BLOCKS,
        max_batch_tokens=GPU_BATCH_TOKENS if cuda else BATCH_TOKENS,
        max_requests_per_batch=GPU_REQUESTS if cuda else BATCH_REQUESTS,
    )
    if cpu_attention:
        AttentionInterface.register("paged_cpu", attend)
    info = ModelInfo(folder.name, context=model.config.max_position_embeddings, parameters=model.num_parameters(), device=device)
    return ContinuousEngine(info, model, tokenizer, config, "paged_cpu" if cpu_attention else "")
