#include "cli/wording.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <utility>

namespace cli {
namespace {

using Named = std::pair<std::string_view, std::string_view>;

constexpr std::array<Named, 24> kParts{{
    {"gemm", "matrix products"},
    {"grouped_gemm", "matrix products of experts"},
    {"attention", "attention kernels"},
    {"scan", "Mamba-2 scan"},
    {"norm", "norms, residual adds"},
    {"activation", "activations, biases"},
    {"rope", "rotary positions, QK norms"},
    {"permute", "router, token permutation"},
    {"loss", "loss, embedding lookup"},
    {"cast", "casts, quantisation"},
    {"pointwise", "other memory-bound kernels"},
    {"slowdown", "compute that shares the GPU with transfers"},
    {"exposed_tp", "tensor-parallel transfers that nothing hides"},
    {"exposed_ep", "expert exchange that nothing hides"},
    {"exposed_cp", "context-parallel transfers that nothing hides"},
    {"exposed_fsdp", "FSDP gathers and scatters that nothing hides"},
    {"exposed_dp", "gradient and parameter transfers that nothing hides"},
    {"exposed_p2p", "pipeline transfers that nothing hides"},
    {"exposed_copy", "copies to and from host memory that nothing hides"},
    {"host", "the GPU waits for its host"},
    {"bubble", "the GPU waits for other pipeline stages"},
    {"optimizer", "optimizer step"},
    {"step_constant", "once a step: data, logging"},
    {"straggler", "waits for the slowest node"},
}};

void append(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

std::string modules_text(const models::RecomputeModules& modules) {
  const std::array<std::pair<const char*, bool>, 8> flags{{{"core_attention", modules.core_attention},
                                                           {"layernorm", modules.layernorm},
                                                           {"mla_up_proj", modules.mla_up_proj},
                                                           {"mlp", modules.mlp},
                                                           {"moe", modules.moe},
                                                           {"moe_act", modules.moe_act},
                                                           {"shared_experts", modules.shared_experts},
                                                           {"self_attention", modules.self_attention}}};
  std::string list;
  for (const auto& [name, set] : flags) {
    if (set) append(list, name);
  }
  return list;
}

}  // namespace

std::string four_digits(double value) {
  const double size = std::abs(value);
  const int decimals = size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : size >= 0.99995 ? 3 : 4;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string time_text(hw::Seconds time) {
  return time.value < 1 ? four_digits(time.value * 1e3) + " ms" : four_digits(time.value) + " s";
}

std::string percent_text(double ratio) { return percent_number(ratio) + " %"; }
std::string percent_number(double ratio) { return fmt::format("{:.1f}", 100 * ratio); }
std::string signed_percent_number(double ratio) { return fmt::format("{:+.1f}", 100 * ratio); }
std::string gib_number(hw::Bytes bytes) { return fmt::format("{:.2f}", hw::to_gib(bytes)); }

std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t i = digits.size(); i > 3 + (value < 0 ? 1 : 0); i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string_view name(models::Precision precision) {
  constexpr std::string_view kNames[] = {"fp64",   "fp32",          "bf16",  "fp16", "fp8-cs",
                                         "fp8-ds", "fp8-blockwise", "mxfp8", "nvfp4"};
  return kNames[static_cast<int>(precision)];
}

std::string_view name(models::Task task) {
  constexpr std::string_view kNames[] = {"pretrain", "sft", "lora"};
  return kNames[static_cast<int>(task)];
}

std::string_view name(models::Schedule schedule) {
  constexpr std::string_view kNames[] = {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"};
  return kNames[static_cast<int>(schedule)];
}

std::string_view name(models::FlopsConvention convention) {
  using enum models::FlopsConvention;
  switch (convention) {
    case causal: return "causal";
    case full: return "full";
    case six_n: return "six_n";
    case megatron_bridge: return "megatron_bridge";
    case megatron_bridge_2604: return "megatron_bridge_2604";
    case automodel: return "automodel";
    case automodel_2025: return "automodel_2025";
    case dfm: return "dfm";
    case llm_foundry: return "llm_foundry";
    case automodel_2025_09: return "automodel_2025_09";
  }
  return "";
}

std::string_view name(hw::Origin origin) {
  constexpr std::string_view kNames[hw::kOrigins] = {"measured", "interpolated", "curve", "runs", "roofline"};
  return kNames[static_cast<int>(origin)];
}

std::string_view meaning(hw::Origin origin) {
  constexpr std::string_view kMeanings[hw::kOrigins] = {
      "measured points", "curves of the nearest GPU or format that has one",
      "curves fitted to this GPU's operator tables", "factors fitted to step times", "a fraction of the datasheet"};
  return kMeanings[static_cast<int>(origin)];
}

std::string_view meaning_of_part(std::string_view part) {
  for (const auto& [key, text] : kParts) {
    if (key == part) return text;
  }
  return "";
}

std::string layout_text(const models::Layout& layout) {
  std::string text;
  const auto size = [&](const char* label, int n) {
    if (n > 1) append(text, fmt::format("{} {}", label, n));
  };
  size("tp", layout.tp);
  if (layout.tp > 1 && layout.sp) text += " (sp)";
  size("pp", layout.pp);
  size("vp", layout.vp);
  size("cp", layout.cp);
  size("ep", layout.ep);
  size("etp", layout.etp);
  append(text, fmt::format("dp {}", layout.dp));
  if (layout.fsdp > 0) append(text, fmt::format("fsdp {}", layout.fsdp));
  append(text, fmt::format("zero {}", static_cast<int>(layout.zero)));
  if (layout.pp > 1) append(text, fmt::format("schedule {}", name(layout.schedule)));
  return text;
}

std::string batch_text(const models::Layout& layout) {
  std::string text = fmt::format("gbs {} = dp {} x {} microbatches x mbs {}, seq {}", layout.gbs, layout.dp,
                                 layout.microbatches, layout.mbs, layout.seq_len);
  if (layout.flushes > 1) text += fmt::format(", the pipeline drains {} times a step", layout.flushes);
  return text;
}

std::string recompute_text(const models::Run& run) {
  const models::Recompute& recompute = run.recompute;
  const std::string unknown = run.recompute_known ? "" : " (not stated: more if needed to fit)";
  switch (recompute.mode) {
    case models::RecomputeMode::none: return "none" + unknown;
    case models::RecomputeMode::selective: return "selective: " + modules_text(recompute.modules) + unknown;
    case models::RecomputeMode::full: break;
  }
  return recompute.layers > 0 ? fmt::format("full, {} layers{}", recompute.layers, unknown) : "full" + unknown;
}

}  // namespace cli
