#include <array>
#include <string_view>
#include <variant>

#include "models/timeline.h"

namespace models {
namespace {

const char* kind_name(const Op& op) {
  constexpr std::array kNames = {"gemm",      "grouped_gemm", "attention",       "scan",
                                 "pointwise", "collective",   "expert_exchange", "send_recv",
                                 "host_copy", "host_sync",    "optimizer",       "tp_copy"};
  static_assert(kNames.size() == std::variant_size_v<Work>);
  return kNames[op.work.index()];
}

const char* module_name(Module module) {
  constexpr std::array<const char*, kModules> kNames = {
      "embedding", "attention",      "core_attention", "mla_up_proj",   "mlp",           "mamba",    "layernorm",
      "router",    "moe_preprocess", "experts",        "moe_act",       "shared_expert", "dispatch", "head",
      "mtp",       "time_text",      "optimizer",      "data_parallel", "pipeline"};
  return kNames[static_cast<std::size_t>(module)];
}

}  // namespace

std::string block_name(BlockKind kind, int layer) {
  constexpr std::array kNames = {"embedding", "layer", "mtp", "head"};
  const std::string name = kNames[static_cast<std::size_t>(kind)];
  return layer < 0 ? name : name + " " + std::to_string(layer);
}

TimelineEvent describe_op(const Block& block, const Op& op, const std::string& where) {
  const OpSize size = op_size(block, op);
  TimelineEvent event;
  event.stream = op.stream;
  event.kind = kind_name(op);
  event.bytes = size.bytes;
  event.flops = size.flops;
  event.name = where;
  if (std::string_view(module_name(op.module)) != where) event.name += std::string(" ") + module_name(op.module);
  event.name += std::string(" ") + op.name;
  return event;
}

/// FNV-1a.
std::uint64_t program_hash(const StepProgram& program) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&](std::uint64_t value) {
    for (int i = 0; i < 8; ++i) hash = (hash ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3;
  };
  for (const Block& block : program.blocks) {
    for (const auto* list : {&block.forward, &block.backward, &block.gather, &block.reduce}) {
      for (const Op& op : *list) {
        for (const char* c = op.name; *c; ++c) mix(static_cast<std::uint64_t>(*c));
        const OpSize size = op_size(block, op);
        mix(static_cast<std::uint64_t>(size.bytes.value));
        mix(static_cast<std::uint64_t>(size.flops.value));
      }
    }
  }
  for (const ChunkProgram& chunk : program.chunks)
    for (const BlockRun& run : chunk.blocks) {
      const int both = run.block * 65536 + run.count;
      mix(static_cast<std::uint64_t>(both));
    }
  return hash;
}

}  // namespace models
