#include "exec/parameters.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "exec/element.h"
#include "models/expand.h"

namespace exec {
namespace {

using models::BlockKind;
using models::GroupKind;

std::string path_of(const models::Run& run, BlockKind kind, int layer) {
  switch (kind) {
    case BlockKind::embedding: return "embedding";
    case BlockKind::layer: return "layer." + std::to_string(layer);
    case BlockKind::head: return "head";
    case BlockKind::mtp: break;
  }
  const int depth = layer - static_cast<int>(run.model.layers.size());
  return "mtp." + std::to_string(run.model.mtp.shared ? 0 : depth);
}

std::int64_t padded(std::int64_t elements, int shards) { return (elements + shards - 1) / shards * shards; }

View part(const View& whole, std::int64_t offset, std::int64_t rows, std::int64_t columns) {
  View view = whole;
  view.offset += offset;
  view.rows = rows;
  view.columns = columns;
  return view;
}

}  // namespace

Parameters::Parameters(const models::Run& run, const models::StepProgram& program, const RankGrid& grid,
                       Device& device) {
  const int stage = grid.index(GroupKind::pp);
  for (const int chunk : program.stages[static_cast<std::size_t>(stage)].chunks) {
    int position = 0;
    for (const models::PassBlock& place :
         models::pass_blocks(program.chunks[static_cast<std::size_t>(chunk)], models::Phase::forward)) {
      const models::Block& block = program.blocks[static_cast<std::size_t>(place.block)];
      add_block({.chunk = chunk,
                 .position = position++,
                 .block = place.block,
                 .path = path_of(run, block.kind, place.layer),
                 .weights = {},
                 .groups = {}});
    }
  }
  for (const bool shared : {false, true})
    for (BlockInstance& instance : blocks_) add_weights(run, program, grid, instance, shared);
  for (ParameterGroup& group : groups_) {
    lay_out(group);
    allocate(group, device, run);
    initialise(group, run.train);
  }
}

ParameterGroup Parameters::new_group(const models::Run& run, const RankGrid& grid, bool expert) const {
  const models::Layout& layout = run.layout;
  const bool fsdp = layout.fsdp > 0;
  ParameterGroup group;
  group.expert = expert;
  group.over = expert ? GroupKind::expert_dp : layout.fsdp > 0 ? GroupKind::fsdp : GroupKind::dp_cp;
  group.weights_sharded = fsdp;
  group.late_gradients = layout.fsdp > 0;
  if (fsdp || layout.zero == models::Zero::optimizer) {
    group.shards = grid.size(group.over);
    group.index = grid.index(group.over);
  }
  return group;
}

void Parameters::add_block(BlockInstance instance) {
  index_[{instance.chunk, instance.position}] = blocks_.size();
  blocks_.push_back(std::move(instance));
}

/// The group of `instance` for its dense or expert weights, made when it is first asked for.
std::size_t Parameters::own_group(const models::Run& run, const RankGrid& grid, BlockInstance& instance, bool expert) {
  for (const std::size_t group : instance.groups)
    if (groups_[group].expert == expert) return group;
  groups_.push_back(new_group(run, grid, expert));
  instance.groups.push_back(groups_.size() - 1);
  return groups_.size() - 1;
}

void Parameters::add_weights(const models::Run& run, const models::StepProgram& program, const RankGrid& grid,
                             BlockInstance& instance, bool shared) {
  const models::Block& block = program.blocks[static_cast<std::size_t>(instance.block)];
  for (const models::Weight& weight : block.weights) {
    if ((weight.shared != nullptr) != shared) continue;
    const models::Tensor& tensor = block.tensors[static_cast<std::size_t>(weight.tensor)];
    const std::string name = shared ? weight.shared : instance.path + "." + tensor.name;
    if (const auto known = by_name_.find(name); known != by_name_.end()) {
      instance.weights[weight.tensor] = known->second;
      continue;
    }
    if (shared && name != models::kEmbeddingTable)
      throw std::invalid_argument(instance.path + ": shares " + name + ", which is on another pipeline rank");
    const std::size_t group = own_group(run, grid, instance, weight.experts > 0);
    Parameter parameter = parameter_of(tensor, weight, name, grid);
    parameter.another_stage_has_it = shared;
    const ParameterPlace place{group, groups_[group].parameters.size()};
    groups_[group].parameters.push_back(std::move(parameter));
    by_name_[name] = instance.weights[weight.tensor] = place;
  }
}

void Parameters::lay_out(ParameterGroup& group) const {
  std::int64_t next = 0;
  for (const bool trained : {true, false}) {
    for (Parameter& parameter : group.parameters) {
      if (parameter.trained != trained) continue;
      parameter.offset = next;
      next += parameter.elements();
    }
    next = padded(next, group.shards);
    if (trained) group.trained = next;
  }
  group.total = next;
}

void Parameters::allocate(ParameterGroup& group, Device& device, const models::Run& run) const {
  const models::Traits& traits = run.traits;
  group.gathered_type = models::storage_type(run.precision);
  group.gradient_type = traits.grad_dtype;
  group.weights =
      new_buffer(device, group.weights_sharded ? group.total / group.shards : group.total, traits.param_dtype);
  if (!group.late_gradients) group.gradients = new_buffer(device, group.trained, traits.grad_dtype);
  group.first_moments = new_buffer(device, group.owned(), traits.moment_dtype);
  group.second_moments = new_buffer(device, group.owned(), traits.moment_dtype);
  if (traits.master_weights) group.master = new_buffer(device, group.owned(), hw::DType::fp32);
  for (const View& states : {group.weights, group.first_moments, group.second_moments, group.master})
    device.fill_zero(states, models::Stream::compute);
  device.synchronize();
}

void Parameters::initialise(ParameterGroup& group, const models::TrainSpec& train) const {
  const std::int64_t first = group.weights_sharded ? group.total / group.shards * group.index : 0;
  const std::int64_t last = first + group.weights.columns;
  for (const Parameter& parameter : group.parameters) {
    for (std::int64_t i = 0; i < parameter.elements(); ++i) {
      const std::int64_t place = parameter.offset + i;
      if (place < first || place >= last) continue;
      const double value =
          first_value(parameter, i / parameter.columns, i % parameter.columns, train.seed, train.init_std);
      set_element(group.weights, place - first, value);
      const std::int64_t owned = place - group.first_owned();
      if (group.master.buffer && parameter.trained && owned >= 0 && owned < group.owned())
        set_element(group.master, owned, value);
    }
  }
}

const BlockInstance& Parameters::owner(std::size_t group) const {
  for (const BlockInstance& block : blocks_)
    if (std::find(block.groups.begin(), block.groups.end(), group) != block.groups.end()) return block;
  throw std::logic_error("a group of parameters without a block");
}

View Parameters::new_buffer(Device& device, std::int64_t elements, hw::DType dtype) {
  const auto bytes = static_cast<std::size_t>(static_cast<double>(elements) * hw::bytes_per_element(dtype));
  return {.buffer = device.allocate(bytes), .rows = 1, .columns = elements, .dtype = dtype};
}

View Parameters::weight(const BlockInstance& block, models::TensorId tensor) const {
  const ParameterPlace place = block.weights.at(tensor);
  const ParameterGroup& group = groups_[place.group];
  const Parameter& parameter = group.parameters[place.parameter];
  return part(group.weights_sharded ? group.gathered : group.weights, parameter.offset, parameter.rows,
              parameter.columns);
}

View Parameters::gradient(const BlockInstance& block, models::TensorId weight) const {
  const ParameterPlace place = block.weights.at(weight);
  const ParameterGroup& group = groups_[place.group];
  const Parameter& parameter = group.parameters[place.parameter];
  return part(group.weights_sharded ? group.whole_gradients : group.gradients, parameter.offset, parameter.rows,
              parameter.columns);
}

}  // namespace exec
