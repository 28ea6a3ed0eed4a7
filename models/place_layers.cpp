#include <string>

#include "models/run_draft.h"

namespace models {
namespace {

std::string text(int number) { return std::to_string(number); }

/// With the ends counted as the run says: Megatron asserts that this divides.
std::optional<Refusal> place_counted(const RunDraft& draft, Run& run) {
  const int stages = run.layout.pp * run.layout.vp;
  const int ends = static_cast<int>(draft.count_embedding) + static_cast<int>(draft.count_loss);
  const int slots = static_cast<int>(run.model.layers.size()) + ends;
  if (slots % stages != 0) {
    return Refusal{"pp",
                   "must, times vp, divide the layers and the counted ends (" + text(slots) + "), is " + text(stages)};
  }
  run.layout.chunks = split_stages(run.model, stages, draft.count_embedding, draft.count_loss);
  return {};
}

std::optional<Refusal> place_by_stack(const RunDraft& draft, Run& run) {
  const int layers = static_cast<int>(run.model.layers.size());
  const int stages = run.layout.pp * run.layout.vp;
  const bool ends_divide = layers % stages != 0 && (layers + 2) % stages == 0;
  const bool is_megatron = draft.stack.stage_split == StageSplit::megatron || draft.stack.traits.count_ends_in_split;
  const bool count_ends = stages > 1 && ends_divide && is_megatron;
  if (!count_ends && stages > layers) {
    return Refusal{"pp", "must, times vp, be at most the model's " + text(layers) + " layers, is " + text(stages)};
  }
  run.layout.chunks = split_stages(run.model, stages, count_ends);
  run.traits.count_ends_in_split = count_ends;
  return {};
}

}  // namespace

std::optional<Refusal> place_layers(const RunDraft& draft, Run& run) {
  return draft.count_embedding || draft.count_loss ? place_counted(draft, run) : place_by_stack(draft, run);
}

}  // namespace models
