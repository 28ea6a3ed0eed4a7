#pragma once

#include "models/block_builder.h"

/// Forward graphs of the parts that layers are made of. Each takes the residual stream x [tokens, hidden], adds its
/// own norm before and its residual after, and returns the new residual stream.
namespace models {

TensorId attention_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x);
TensorId mla_part(BlockBuilder& b, const AttentionSpec& spec, TensorId x);
TensorId mamba_part(BlockBuilder& b, const MambaSpec& spec, TensorId x);
TensorId mlp_part(BlockBuilder& b, const MlpSpec& spec, TensorId x);
TensorId moe_part(BlockBuilder& b, const MoeSpec& spec, TensorId x);
/// Self-attention, text cross-attention and MLP of a video diffusion transformer, with adaLN modulation.
TensorId dit_layer(BlockBuilder& b, const LayerSpec& spec, TensorId x);

/// Softmax attention over local heads with context parallelism: q, k, v in `qkv` (or `q` and `kv`), one row a token.
/// Returns [tokens, heads * v_dim / tp].
TensorId core_attention(BlockBuilder& b, const AttentionSpec& spec, std::initializer_list<TensorId> qkv);
/// The activation between the two linears of an MLP: gated ones halve the columns.
/// `weights` of rows, if any, multiply the result.
TensorId activate(BlockBuilder& b, Activation activation, bool gated, TensorId h, TensorId weights = kNoTensor);

/// hidden -> ffn (gated: gate and up side by side), divided over TP by its output.
Linear first_linear(const BlockBuilder& b, const char* name, std::int64_t whole_ffn, bool gated);

/// Ends of the model: [tokens] ids -> x; x -> loss against `labels`; and the projection in front of an MTP layer.
TensorId embedding_part(BlockBuilder& b);
void head_part(BlockBuilder& b, TensorId x, const char* labels = "labels");
TensorId mtp_projection(BlockBuilder& b, TensorId x);
TensorId dit_input(BlockBuilder& b);
void dit_output(BlockBuilder& b, TensorId x);

}  // namespace models
