#include "models/model_flops_parts.h"

// WAN 2.1: Megatron-Bridge src/megatron/bridge/diffusion/models/wan/wan_provider.py. Attention is bidirectional.
namespace models::flops {

PerToken diffusion_transformer(const Model& model, double tokens) {
  const DitSpec& dit = *model.dit;
  const double h = static_cast<double>(model.hidden), text = dit.text_len, text_dim = static_cast<double>(dit.text_dim);
  const double patch = double(dit.patch_t) * dit.patch_hw * dit.patch_hw;
  const std::vector<double> count = passes(model, false);
  PerToken forward;
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind) {
    const AttentionSpec& a = *model.kinds[kind].attention;
    const double q = double(a.heads) * a.head_dim, ffn = static_cast<double>(model.kinds[kind].mlp->ffn);
    // self qkv and out; cross q and out; cross k and v over the text; two MLP matrices
    forward.weights += count[kind] * (8 * h * q + 4 * h * q + 4 * text * h * q / tokens + 4 * h * ffn);
    forward.attention += count[kind] * 4 * q * (tokens + text);
  }
  forward.weights += 2 * patch * h * (dit.in_channels + dit.out_channels) + 2 * text * (text_dim * h + h * h) / tokens;
  return {.weights = 3 * forward.weights, .attention = 3 * forward.attention};
}

PerToken dfm(const Model& model, double tokens) {
  // DFM's printed WAN 2.1 14B figures come from an unpublished calculator: TFLOP/s over tokens/s in the 2025-11-19
  // version of docs/performance-summary.md is 165.907 GFLOP/token at 37440 tokens, in all three rows that print both.
  // The formula above gives 165.1733 there.
  constexpr double kPrintedOverFormula = 165.907e9 / 165.173311435e9;
  if (!model.dit) return every_matmul(model, tokens, true);
  const PerToken formula = diffusion_transformer(model, tokens);
  return {.weights = kPrintedOverFormula * formula.weights, .attention = kPrintedOverFormula * formula.attention};
}

}  // namespace models::flops
