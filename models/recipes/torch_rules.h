#pragma once

#include "models/recipes/mapping.h"

/// What the formats on torch's own FSDP and pipelines share: AutoModel, DFM on AutoModel, torchtitan.
namespace recipes::torch {

inline constexpr Word kTypes[] = {{"bfloat16", "bf16"},       {"float32", "fp32"},       {"float16", "fp16"},
                                  {"bf16", "bf16"},           {"fp32", "fp32"},          {"fp16", "fp16"},
                                  {"torch.bfloat16", "bf16"}, {"torch.float32", "fp32"}, {"torch.float16", "fp16"}};

/// Nodes of the machine: its GPUs times nodes are the run's.
void read_nodes(Reading& reading, std::string_view key);
void write_nodes(Writing& writing, std::string_view key);

/// FSDP over all of data and context parallelism, less what is replicated.
void read_replicas(Reading& reading, std::string_view replicas);
void write_replicas(Writing& writing, std::string_view replicas);

/// A local batch is one microbatch, or with a pipeline what one flush works on.
struct BatchKeys {
  std::string_view local, micro;
  std::string_view local_field;  ///< of a run with a pipeline
};
void read_batch(Reading& reading, const BatchKeys& keys);
void write_batch(Writing& writing, const BatchKeys& keys);

/// A model by its Hugging Face repository.
void read_repository(Reading& reading, std::string_view key);
void write_repository(Writing& writing, std::string_view key);

}  // namespace recipes::torch
