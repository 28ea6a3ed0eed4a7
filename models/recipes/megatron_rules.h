#pragma once

#include "models/recipes/mapping.h"

/// What the formats on Megatron-Core share: Megatron-Bridge, DFM on Megatron, Megatron-LM.
namespace recipes::megatron {

inline constexpr Word kRecompute[] = {{"", "none"}, {"selective", "selective"}, {"full", "full"}};
inline constexpr Word kRecomputeMethods[] = {{"uniform", "uniform"}, {"block", "block"}};
inline constexpr Word kTypes[] = {{"float32", "fp32"},       {"bfloat16", "bf16"},       {"float16", "fp16"},
                                  {"torch.float32", "fp32"}, {"torch.bfloat16", "bf16"}, {"torch.float16", "fp16"},
                                  {"fp32", "fp32"},          {"bf16", "bf16"},           {"fp16", "fp16"}};
inline constexpr Word kTorchTypes[] = {{"torch.float32", "fp32"}, {"torch.bfloat16", "bf16"}, {"torch.float16", "fp16"},
                                       {"float32", "fp32"},       {"bfloat16", "bf16"},       {"float16", "fp16"},
                                       {"fp32", "fp32"},          {"bf16", "bf16"},           {"fp16", "fp16"}};
inline constexpr Word kDispatchers[] = {{"alltoall", "alltoall"}, {"allgather", "allgather"}};
inline constexpr Word kFlexBackends[] = {{"deepep", "deepep"}, {"hybridep", "hybridep"}};

/// Keys of one format for the rules below.
struct DispatcherKeys {
  std::string_view type, backend;
};
void read_dispatcher(Reading& reading, const DispatcherKeys& keys);
void write_dispatcher(Writing& writing, const DispatcherKeys& keys);

/// ZeRO and Megatron-FSDP: fsdp, zero and extra.fsdp.strategy of a run.
struct ShardingKeys {
  std::string_view distributed_optimizer, fsdp, strategy, instances;
  bool are_switches = false;  ///< absent: off
};
void read_sharding(Reading& reading, const ShardingKeys& keys);
void write_sharding(Writing& writing, const ShardingKeys& keys);

/// Sizes that a recipe states of its model are those of the model that is named.
struct ModelSizeKeys {
  std::string_view layers, hidden;
};
void check_model_sizes(Reading& reading, const ModelSizeKeys& keys);

/// What recompute is of means nothing without its granularity.
void read_missing_granularity(Reading& reading);

}  // namespace recipes::megatron
