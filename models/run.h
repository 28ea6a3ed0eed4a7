#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hw/cluster.h"
#include "hw/node.h"
#include "models/layout.h"
#include "models/model.h"
#include "models/model_flops.h"
#include "models/numerics.h"
#include "models/recipe.h"
#include "models/stack.h"
#include "models/train.h"

namespace models {

enum class Task { pretrain, sft, lora };

struct LoraSpec {
  int rank = 0;
  double alpha = 0;
  bool qkv = false, out = false, mlp = false, experts = false;  ///< which linears carry adapters
};

/// What a source measured. Absent values are 0.
struct Measured {
  hw::Seconds step_time;
  std::string step_time_from;
  double tokens_per_s_per_gpu = 0, tflops_per_gpu = 0, mfu = 0;
  hw::Bytes memory;  ///< from mem_gib, or mem_gb as the source's unit is read (see memory_unit_stated)
  bool memory_unit_stated = true;
  bool derived = false;  ///< the step time was derived, not printed
};

/// One training run: everything that `predict` reads, checked and resolved. Valid for good once parsed.
struct Run {
  std::string id;
  Model model;
  hw::Cluster cluster;
  std::string framework, release;
  Task task = Task::pretrain;
  Precision precision = Precision::bf16;
  Layout layout;
  Recompute recompute;
  bool recompute_known = true;  ///< false: the least recompute that fits is assumed
  CudaGraph graph;
  Traits traits;
  std::optional<LoraSpec> lora;
  TrainSpec train;
  FlopsConvention flops = FlopsConvention::causal;
  double packed_tokens = 0;  ///< packed fine-tuning: mean tokens of a pack; 0 = full sequences
  int packed_length = 0;     ///< and of its sub-sequences, mean square over mean: attention does not leave them

  std::vector<std::string> assumed;         ///< what was not stated and how it was filled in
  std::vector<std::string> not_understood;  ///< keys of open objects that nothing here reads
  std::optional<Measured> measured;
  std::string measured_group;  ///< framework/model/system/gpus/gbs/seq/release: layouts that compete with each other
};

/// Where descriptions lie: DIR/hw, DIR/models, DIR/configs/stacks, DIR/calibration/profiles.
struct DataDirectory {
  std::filesystem::path path;
};

/// Reads models/NAME.json, hw/NAME.json and stacks once and keeps them, so that a file of many runs is read fast.
class Library;

/// Parses one run description (docs/runs.md). Throws hw::InputError. `measured` is allowed with `with_measured` only.
Run parse_run(const hw::Node& node, Library& library, bool with_measured);

/// Not a global: made in main() and handed down. References stay valid as long as the library.
class Library {
 public:
  explicit Library(DataDirectory data) : data_(std::move(data)) {}
  /// A name (DIR/models/NAME.json), a path (ends in `.json` or has a `/`), or the object itself.
  /// Throws InputError; an unknown name is answered with those that exist.
  const Model& model(const hw::Node& reference);
  const hw::Cluster& cluster(const hw::Node& reference);  ///< likewise, DIR/hw/NAME.json
  const hw::Node& stack(const std::string& name);         ///< configs/stacks/NAME.json, `generic` if there is none
  bool has_stack(const std::string& name) const;
  /// stack(name) as it is at `release` (empty: not stated).
  const Stack& stack_at(const std::string& name, const std::string& release);
  const DataDirectory& data() const { return data_; }

 private:
  template <typename T>
  using ByName = std::map<std::string, T, std::less<>>;

  DataDirectory data_;
  ByName<Model> models_;
  ByName<hw::Cluster> clusters_;
  ByName<hw::Node> stacks_;
  std::map<std::pair<std::string, std::string>, Stack> stacks_at_;  ///< by name and release
};

}  // namespace models
