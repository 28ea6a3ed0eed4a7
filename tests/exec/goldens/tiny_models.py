"""The run descriptions that goldens are made of."""

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}

GPT2 = {
    "model_type": "gpt2",
    "n_embd": 32,
    "n_layer": 4,
    "n_head": 4,
    "n_inner": 128,
    "n_positions": 32,
    "vocab_size": 96,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}

QWEN2 = {
    "model_type": "qwen2",
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
}

QWEN3 = {
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
}

QWEN3_MOE = {
    "model_type": "qwen3_moe",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
}

DEEPSEEK_V3 = {
    "model_type": "deepseek_v3",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}

KIMI_K2 = {
    **DEEPSEEK_V3,
    "model_type": "kimi_k2",
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "n_shared_experts": 2,
    "routed_scaling_factor": 2.827,
    "num_nextn_predict_layers": 0,
    "rope_theta": 50000.0,
}

GPT_OSS = {
    "model_type": "gpt_oss",
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "attention_bias": True,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "swiglu_limit": 7.0,
    "rms_norm_eps": 1e-5,
    "rope_theta": 150000.0,
}

NEMOTRON = {
    "model_type": "nemotron_h",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "moe_shared_expert_intermediate_size": 48,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "hybrid_override_pattern": "ME*-",
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 16,
    "n_groups": 4,
    "conv_kernel": 4,
    "use_conv_bias": True,
    "mlp_hidden_act": "relu2",
    "layer_norm_epsilon": 1e-5,
}

NEMOTRON_DENSE = {
    "model_type": "nemotron_h",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "hybrid_override_pattern": "M*-M",
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "ssm_state_size": 16,
    "n_groups": 4,
    "conv_kernel": 4,
    "use_conv_bias": True,
    "mlp_hidden_act": "relu2",
    "layer_norm_epsilon": 1e-5,
}

NEMOTRON_MTP = {
    **NEMOTRON,
    "moe_latent_size": 16,
    "num_nextn_predict_layers": 1,
    "mtp_hybrid_override_pattern": "*E",
    "mtp_depth": 2,
}

WAN = {
    "model_type": "wan",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 16,
    "in_channels": 4,
    "out_channels": 4,
    "patch_t": 1,
    "patch_hw": 2,
    "freq_dim": 32,
    "text_len": 8,
    "text_dim": 24,
}

LORA = {"rank": 4, "alpha": 8, "target_modules": ["linear_qkv", "linear_proj", "linear_fc1", "linear_fc2"]}


def _run(model, seed=1, init_std=0.1, lr=1e-2, mbs=1, seq_len=16, **more):
    run = {
        "model": model,
        "system": "h100",
        "gpus": 1,
        "precision": "fp64",
        "framework": "stepcast",
        "seq_len": seq_len,
        "gbs": 4,
        "mbs": mbs,
        **more,
    }
    run["train"] = {
        "lr": lr,
        "betas": [0.9, 0.95],
        "weight_decay": 0.1,
        "clip": 1.0,
        "seed": seed,
        "init_std": init_std,
        "schedule": "constant",
    }
    return run


# Seeds of models with routers are those that `--find-seed` finds.
RUNS = {
    "llama": _run(LLAMA, mbs=2, seq_len=32),
    "gpt2": _run(GPT2, mbs=2, seq_len=32),
    "qwen2": _run(QWEN2),
    "qwen3": _run(QWEN3),
    "qwen3-moe": _run(QWEN3_MOE, seed=2, init_std=0.2),
    "deepseek-v3": _run(DEEPSEEK_V3, seed=123, init_std=0.2),
    "kimi-k2": _run(KIMI_K2, seed=310, init_std=0.2, mbs=2),
    "gpt-oss": _run(GPT_OSS, seed=1, init_std=0.4),
    "nemotron": _run(NEMOTRON, seed=6, init_std=0.2),
    "nemotron-dense": _run(NEMOTRON_DENSE, mbs=2),
    "nemotron-mtp": _run(NEMOTRON_MTP, seed=335, init_std=0.2, mbs=2),
    "wan": _run(WAN),
    "llama-lora": _run(LLAMA, task="lora", extra={"lora": LORA}),
}
