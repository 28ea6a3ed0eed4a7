#include "exec/block_plan.h"

#include <algorithm>

namespace exec {
namespace {

using models::Phase;
using models::TensorId;
using models::TensorKind;

std::size_t at(TensorId id) { return static_cast<std::size_t>(id); }

bool held_elsewhere(const models::Tensor& tensor) {
  return tensor.kind == TensorKind::weight || tensor.kind == TensorKind::weight_gradient;
}

std::vector<bool> staying(const models::Block& block, Phase phase) {
  std::vector<bool> stays(block.tensors.size(), false);
  for (std::size_t t = 0; t < stays.size(); ++t)
    stays[t] = held_elsewhere(block.tensors[t]) || (phase == Phase::forward && block.tensors[t].kept);
  const TensorId result = phase == Phase::forward ? block.output : block.input_gradient;
  if (result != models::kNoTensor && phase != Phase::weight_grad) stays[at(result)] = true;
  if (phase != Phase::forward && phase != Phase::weight_grad)
    for (const models::Carried& carried : block.carried) stays[at(carried.gradient)] = true;
  if (phase == Phase::input_grad)
    for (const models::Op& op : block.backward)
      if (op.weight_gradient)
        for (const TensorId id : op.reads) stays[at(id)] = true;
  return stays;
}

}  // namespace

PassPlan plan_pass(const models::Block& block, Phase phase) {
  PassPlan plan;
  const auto& ops = phase == Phase::forward ? block.forward : block.backward;
  std::vector<std::size_t> last(block.tensors.size(), 0);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (phase == Phase::input_grad && ops[i].weight_gradient) continue;
    if (phase == Phase::weight_grad && !ops[i].weight_gradient) continue;
    plan.steps.push_back({static_cast<std::int16_t>(i), {}});
    for (const auto* operands : {&ops[i].reads, &ops[i].writes})
      for (const TensorId id : *operands) last[at(id)] = plan.steps.size();
  }
  const std::vector<bool> stays = staying(block, phase);
  for (std::size_t t = 0; t < last.size(); ++t)
    if (last[t] > 0 && !stays[t]) plan.steps[last[t] - 1].release.push_back(static_cast<TensorId>(t));
  return plan;
}

bool PassPlan::needs(TensorId id) const {
  return std::any_of(steps.begin(), steps.end(), [id](const Step& step) {
    return std::find(step.release.begin(), step.release.end(), id) != step.release.end();
  });
}

bool moves(const models::Op& op, const PassPlan::Step& step) {
  return std::get_if<models::TpCopy>(&op.work) != nullptr &&
         std::find(step.release.begin(), step.release.end(), op.reads[0]) != step.release.end();
}

}  // namespace exec
