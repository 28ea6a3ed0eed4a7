"""What a decoder is made of, read from the keys of its Hugging Face config."""

from dataclasses import dataclass, field
from typing import List, Optional


@dataclass
class Attention:
    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    rotary: bool = True
    window: int = 0  # keys a query sees, itself included; 0 = all
    sinks: bool = False


@dataclass
class LatentAttention:
    """Multi-head latent attention, arXiv 2405.04434."""

    heads: int
    q_rank: int
    kv_rank: int
    nope: int
    rope: int
    v_dim: int


@dataclass
class Mlp:
    ffn: int
    activation: str = "swiglu"
    bias: bool = False


@dataclass
class Moe:
    experts: int
    top_k: int
    ffn: int
    router: str  # softmax, sigmoid, or top_k_softmax (over the chosen logits only)
    normalise: bool = True
    scale: float = 1.0
    activation: str = "swiglu"
    bias: bool = False  # of the router and of the experts
    shared_ffn: int = 0
    latent: int = 0
    limit: float = 7.0  # of swiglu_clamped


@dataclass
class Mamba:
    """Mamba-2, arXiv 2405.21060."""

    heads: int
    head_dim: int
    state: int
    groups: int
    kernel: int


@dataclass
class Decoder:
    hidden: int
    vocab: int
    eps: float
    theta: float = 10000.0
    layer_norm: bool = False
    positions: int = 0  # rows of a learned table; 0: none
    tied: bool = False
    layers: List[list] = field(default_factory=list)  # the parts of each
    mtp_depth: int = 0
    mtp_layers: List[list] = field(default_factory=list)
    mtp_shared: bool = False
    lora: Optional[dict] = None


def gated(activation):
    return activation.startswith("swiglu")


def parse(config):
    """Dispatches on `model_type`."""
    return _PARSERS[config["model_type"]](config)


def _decoder(c, eps_key="rms_norm_eps"):
    return Decoder(
        hidden=c["hidden_size"],
        vocab=c["vocab_size"],
        eps=c[eps_key],
        theta=c.get("rope_theta", 10000.0),
        tied=c.get("tie_word_embeddings", False),
    )


def _attention(c, **more):
    heads = c["num_attention_heads"]
    return Attention(
        heads=heads,
        kv_heads=c.get("num_key_value_heads", heads),
        head_dim=c.get("head_dim", c["hidden_size"] // heads),
        **more,
    )


def _llama_like(c, **attention):
    model = _decoder(c)
    layer = [_attention(c, **attention), Mlp(c["intermediate_size"])]
    model.layers = [layer] * c["num_hidden_layers"]
    return model


def _gpt2(c):
    attention = Attention(c["n_head"], c["n_head"], c["n_embd"] // c["n_head"], True, True, rotary=False)
    mlp = Mlp(c.get("n_inner") or 4 * c["n_embd"], "gelu", bias=True)
    return Decoder(
        hidden=c["n_embd"],
        vocab=c["vocab_size"],
        eps=c["layer_norm_epsilon"],
        layer_norm=True,
        positions=c["n_positions"],
        tied=c.get("tie_word_embeddings", True),
        layers=[[attention, mlp]] * c["n_layer"],
    )


def _qwen3_moe(c):
    model = _decoder(c)
    moe = Moe(
        c["num_experts"], c["num_experts_per_tok"], c["moe_intermediate_size"], "softmax", c["norm_topk_prob"]
    )
    model.layers = [[_attention(c, qk_norm=True), moe]] * c["num_hidden_layers"]
    return model


def _gpt_oss(c):
    model = _decoder(c)
    moe = Moe(c["num_local_experts"], c["num_experts_per_tok"], c["intermediate_size"], "top_k_softmax")
    moe.activation, moe.bias = "swiglu_clamped", True
    moe.limit = c.get("swiglu_limit", 7.0)
    for kind in c["layer_types"]:
        window = c["sliding_window"] if kind == "sliding_attention" else 0
        model.layers.append([_attention(c, qkv_bias=True, out_bias=True, sinks=True, window=window), moe])
    return model


def _deepseek(c):
    model = _decoder(c)
    attention = LatentAttention(
        c["num_attention_heads"],
        c.get("q_lora_rank", 0),
        c["kv_lora_rank"],
        c["qk_nope_head_dim"],
        c["qk_rope_head_dim"],
        c["v_head_dim"],
    )
    moe = Moe(
        c["n_routed_experts"],
        c["num_experts_per_tok"],
        c["moe_intermediate_size"],
        "sigmoid",
        c["norm_topk_prob"],
        c["routed_scaling_factor"],
        shared_ffn=c["n_shared_experts"] * c["moe_intermediate_size"],
    )
    dense = c["first_k_dense_replace"]
    sparse = c["num_hidden_layers"] - dense
    model.layers = [[attention, Mlp(c["intermediate_size"])]] * dense + [[attention, moe]] * sparse
    model.mtp_depth = c.get("num_nextn_predict_layers", 0)
    model.mtp_layers = model.layers[-1:]
    return model


def _nemotron_h(c):
    model = _decoder(c, "layer_norm_epsilon")
    parts = {
        "M": lambda: Mamba(
            c["mamba_num_heads"], c["mamba_head_dim"], c["ssm_state_size"], c["n_groups"], c["conv_kernel"]
        ),
        "*": lambda: _attention(c, rotary=False),
        "-": lambda: Mlp(c["intermediate_size"], "relu2"),
        "E": lambda: Moe(
            c["n_routed_experts"],
            c["num_experts_per_tok"],
            c["moe_intermediate_size"],
            "sigmoid",
            c["norm_topk_prob"],
            c["routed_scaling_factor"],
            "relu2",
            shared_ffn=c["n_shared_experts"] * c["moe_shared_expert_intermediate_size"],
            latent=c.get("moe_latent_size", 0),
        ),
    }
    model.layers = [[parts[letter]()] for letter in c["hybrid_override_pattern"]]
    model.mtp_depth = c.get("mtp_depth", 0)
    model.mtp_layers = [[parts[letter]()] for letter in c.get("mtp_hybrid_override_pattern", "")]
    model.mtp_shared = True
    return model


_PARSERS = {
    "llama": _llama_like,
    "qwen2": lambda c: _llama_like(c, qkv_bias=True),
    "qwen3": lambda c: _llama_like(c, qk_norm=True),
    "gpt2": _gpt2,
    "qwen3_moe": _qwen3_moe,
    "gpt_oss": _gpt_oss,
    "deepseek_v3": _deepseek,
    "kimi_k2": _deepseek,
    "nemotron_h": _nemotron_h,
}
