"""Tiny random models of many families, made from their configs: what each answers is nonsense, and nothing like the others'."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": None, "tie_word_embeddings": False,
}  # fmt: skip
OLD: dict[str, Any] = {key: COMMON[key] for key in ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id")}
MIXED = ["sliding_attention", "full_attention"]
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
MAMBA2: dict[str, Any] = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    # those that share a batch
    "llama": COMMON,
    "qwen3": COMMON,
    "gemma": COMMON,
    "gemma2": {**COMMON, "sliding_window": 8},
    "gemma3_text": {**COMMON, "sliding_window": 8, "layer_types": MIXED},
    "gpt2": {**OLD, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "mistral": {**COMMON, "sliding_window": 8},
    "phi3": {**COMMON, "sliding_window": 8},
    "olmo2": COMMON,
    "gpt_neox": COMMON,
    "qwen2_moe": {**COMMON, **EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 16},
    "mixtral": {**COMMON, "sliding_window": 8, "num_local_experts": 4},
    "cohere2": {**COMMON, "sliding_window": 8, "layer_types": MIXED},
    "smollm3": COMMON,
    "gemma3n_text": {
        **COMMON, "sliding_window": 8, "num_hidden_layers": 4, "layer_types": MIXED * 2, "num_kv_shared_layers": 2,
        "laurel_rank": 4, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 97, "altup_num_inputs": 2,
    },
    "deepseek_v3": {
        **COMMON, **EXPERTS, "num_key_value_heads": 4, "head_dim": 4, "n_routed_experts": 4, "n_group": 1, "topk_group": 1,
        "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8,
        "first_k_dense_replace": 1,
    },
    # those that answer alone
    "bloom": {**OLD, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {**OLD, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 512},
    "falcon": {**OLD, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    "phimoe": {**COMMON, "sliding_window": 8, "num_local_experts": 2, "num_experts_per_tok": 1},
    "gpt_oss": {**COMMON, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "openai-gpt": {**OLD, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "longrope": {**COMMON, "type": "phi3", "original_max_position_embeddings": 32, "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32,
        "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [4.0, 5.0, 6.0, 7.0],
    }},
    "dynamic": {**COMMON, "type": "llama", "max_position_embeddings": 16, "rope_parameters": {
        "rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0,
    }},
    "mamba": {**COMMON, "state_size": 8},
    "mamba2": {**COMMON, "num_heads": 8, "state_size": 8, "n_groups": 1, "chunk_size": 16},
    "recurrent_gemma": {**COMMON, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8},
    "jamba": {
        **COMMON, "num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "mamba_d_state": 8,
        "use_mamba_kernels": False, "mamba_dt_rank": 4,
    },
    "bamba": {**COMMON, **MAMBA2, "attn_layer_indices": [1]},
    "falcon_h1": {**COMMON, **MAMBA2, "mamba_d_ssm": 64},
    "granitemoehybrid": {
        **COMMON, **MAMBA2, "layer_types": ["mamba", "attention"], "num_local_experts": 2, "num_experts_per_tok": 1,
    },
    "qwen3_next": {
        **COMMON, **EXPERTS, "num_hidden_layers": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "num_experts": 4,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8, "shared_expert_intermediate_size": 16,
    },
    "lfm2": {**COMMON, "layer_types": ["conv", "full_attention"]},
    "rwkv": {**OLD, "hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32},
    "t5": {
        **OLD, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
        "tie_word_embeddings": False,
    },
    "bart": {
        **OLD, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "decoder_start_token_id": 2,
        "tie_word_embeddings": False, "max_position_embeddings": 512,
    },
    "t5gemma": {
        **OLD, "encoder": {**COMMON, "sliding_window": 8}, "decoder": {**COMMON, "sliding_window": 8},
        "decoder_start_token_id": 1, "tie_word_embeddings": False,
    },
}  # fmt: skip
ENCODER_DECODERS = {"t5", "bart", "t5gemma"}


def make_model(family: str, seed: int = 0, **changes: Any) -> Any:
    """A model of `family` in float32 whose weights are so large that the likeliest token is a clear one."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = {**FAMILIES[family], **changes}
    kind = config.pop("type", family)
    torch.manual_seed(seed)
    auto_class = AutoModelForSeq2SeqLM if family in ENCODER_DECODERS else AutoModelForCausalLM
    model = auto_class.from_config(CONFIG_MAPPING[kind](**config), dtype=torch.float32).eval()
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() >= 2:
                weights.copy_(torch.randn(weights.shape, generator=numbers) * 0.3)
    model.generation_config.eos_token_id = None
    model.generation_config.forced_eos_token_id = None
    model.generation_config.forced_bos_token_id = 5 if family == "bart" else None
    model.generation_config.pad_token_id = 0
    return model


def generate(model: Any, prompt: list[int], count: int) -> list[int]:
    """What Transformers' own `generate` answers, greedy; by a copy, since some models remember how long the last prompt was."""
    import copy

    import torch

    ids = torch.tensor([prompt])
    output = copy.deepcopy(model).generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=count
    )
    return output[0, 1 if model.config.is_encoder_decoder else len(prompt) :].tolist()
