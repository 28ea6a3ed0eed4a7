#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hw/node.h"

namespace models {

enum class Norm : std::uint8_t { rms, layer };
enum class Position { rotary, learned, none };
enum class Activation : std::uint8_t {
  silu,
  gelu,
  relu2,
  swiglu_clamped
};  ///< swiglu_clamped: GPT-OSS's biased, clamped GLU
/// softmax: over all experts; softmax_of_chosen: over the chosen ones; sigmoid_bias: of each, plus a correction bias
/// for the choice alone, which starts at 0 and is no parameter.
enum class Router : std::uint8_t { softmax, softmax_of_chosen, sigmoid_bias };

/// Multi-head latent attention (DeepSeek V2, arXiv 2405.04434, section 2.1).
struct Mla {
  int q_lora_rank = 0;  ///< 0: queries are projected without a low-rank step
  int kv_lora_rank = 0;
  int qk_nope = 0, qk_rope = 0, v_head = 0;
  bool operator==(const Mla&) const = default;
};

/// Softmax attention with `heads` query heads that share `kv_heads` key and value heads.
struct AttentionSpec {
  int heads = 0, kv_heads = 0;
  int head_dim = 0;    ///< of queries and keys (MLA: qk_nope + qk_rope)
  int v_head_dim = 0;  ///< of values (= head_dim unless MLA)
  bool qk_norm = false;
  bool qkv_bias = false, out_bias = false;
  bool causal = true;
  int window = 0;  ///< keys a query sees, itself included; 0 = all
  bool sinks = false;
  bool output_gate = false;
  std::optional<Mla> mla;
  bool operator==(const AttentionSpec&) const = default;
};

struct MlpSpec {
  std::int64_t ffn = 0;
  bool gated = true;
  bool bias = false;
  Activation activation = Activation::silu;
  bool operator==(const MlpSpec&) const = default;
};

struct MoeSpec {
  int experts = 0, top_k = 0;
  int groups = 1, top_groups = 1;  ///< a token's experts lie in so many of the groups (DeepSeek-V3, arXiv 2412.19437)
  std::int64_t expert_ffn = 0;
  std::int64_t shared_ffn = 0;  ///< 0: no shared expert
  std::int64_t latent = 0;      ///< > 0: experts work in this width, between two projections (Nemotron-3 Super)
  bool gated = true;
  bool bias = false;         ///< in the experts
  bool router_bias = false;  ///< a bias in the router's projection (GPT-OSS)
  Router router = Router::softmax;
  bool normalised = false;  ///< the chosen experts' weights are divided by their sum
  double scaling = 1;       ///< and multiplied by this
  Activation activation = Activation::silu;
  bool operator==(const MoeSpec&) const = default;
};

/// Mamba-2 mixer (arXiv 2405.21060). d_inner = heads * head_dim.
struct MambaSpec {
  int heads = 0, head_dim = 0, state = 0, groups = 0, conv_kernel = 0;
  bool operator==(const MambaSpec&) const = default;
};

/// What one layer is made of: at most one mixer and at most one feed-forward part, each behind its own norm.
struct LayerSpec {
  std::optional<AttentionSpec> attention = {};
  std::optional<MambaSpec> mamba = {};
  std::optional<MlpSpec> mlp = {};
  std::optional<MoeSpec> moe = {};
  bool operator==(const LayerSpec&) const = default;
};

/// Multi-token prediction: `depth` passes, each through a projection of [2h -> h] and the layers of `kinds`.
struct MtpSpec {
  int depth = 0;
  std::vector<int> kinds;  ///< indices into Model::kinds, the layers of one pass
  bool shared = false;     ///< all passes use one set of weights (Nemotron-3)
};

/// A video diffusion transformer of the WAN 2.1 kind: bidirectional self-attention over latent patches, text
/// cross-attention, adaLN modulation, MLP.
struct DitSpec {
  std::int64_t text_dim = 0;  ///< width of the text encoder's output
  int text_len = 0;           ///< tokens of text
  int in_channels = 0, out_channels = 0;
  int patch_t = 1, patch_hw = 2;
  std::int64_t freq_dim = 0;  ///< width of the sinusoidal time embedding
};

enum class Family { dense, moe, dit };

/// A model's architecture: dimensions only, no layout, no numerics.
struct Model {
  std::string name;
  std::string architecture;  ///< Hugging Face `model_type`, for messages and FLOP conventions
  std::int64_t hidden = 0;
  std::int64_t vocab = 0;
  std::int64_t vocab_divisor = 1;  ///< Megatron pads the vocabulary to a multiple of this times tp
  bool tied_embeddings = false;
  Norm norm = Norm::rms;
  bool norm_bias = true;  ///< of Norm::layer; false in MPT with no_bias
  double norm_epsilon = 1e-6;
  Position position = Position::rotary;
  double rope_theta = 10'000;
  bool rope_scaling = false;           ///< positions are scaled for long contexts, in a way that is not read
  std::int64_t learned_positions = 0;  ///< rows of the position table if Position::learned
  std::vector<LayerSpec> kinds;        ///< the distinct layers, few
  std::vector<int> layers;             ///< kind of each layer, in order
  MtpSpec mtp;
  std::optional<DitSpec> dit;

  Family family() const;
  bool hybrid() const;  ///< has Mamba layers
};

/// Reads a Hugging Face `config.json` (by `model_type` or `architectures`) or one of the project's own descriptions,
/// which use the same keys (docs/models.md). `name` is for messages. Throws InputError: unknown architecture by name,
/// missing dimension, sizes that do not fit together.
Model parse_model(const hw::Node& node, const std::string& name);

/// Parameters that a checkpoint holds, and those that one token uses (experts: top-k and shared; the input embedding
/// counts once). With `mtp`, the multi-token-prediction modules too.
struct ParameterCount {
  std::int64_t total = 0, active = 0;
};
ParameterCount count_parameters(const Model& model);
std::int64_t layer_parameters(const Model& model, const LayerSpec& layer);

}  // namespace models
