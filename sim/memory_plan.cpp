#include "sim/memory_plan.h"

#include <algorithm>
#include <utility>

#include "models/schedule.h"

namespace sim {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool same_pass(const HeldBeside& a, const HeldBeside& b) {
  return a.pass == b.pass && a.merged == b.merged && a.kind == b.kind && a.backward_kind == b.backward_kind;
}

bool holds_no_more(const HeldBeside& a, const HeldBeside& b) {
  return std::ranges::equal(a.kept, b.kept, std::ranges::less_equal{}) &&
         std::ranges::equal(a.gradients, b.gradients, std::ranges::less_equal{});
}

/// Counts what a rank holds, by kind of chunk, and notes the moments.
class RankCount {
 public:
  explicit RankCount(const ActivationsByChunk& chunks)
      : kinds_(chunks.kinds()), kept_(chunks.distinct().size()), gradients_(chunks.distinct().size()) {}

  void consider(MemoryPass pass, const models::PipelineTask& task) {
    note({.pass = pass, .kind = kind(task.chunk), .kept = kept_, .gradients = gradients_});
  }
  void consider_merged(const models::PipelineTask& task, const models::PipelineTask& next) {
    note({.pass = MemoryPass::backward,
          .merged = true,
          .kind = kind(task.chunk),
          .backward_kind = kind(next.chunk),
          .kept = kept_,
          .gradients = gradients_});
  }
  void keep(int chunk) { ++kept_[at(kind(chunk))]; }
  void release(int chunk) { --kept_[at(kind(chunk))]; }
  void hold(int) {}
  void let_go(int) {}
  void gradients(int chunk) { ++gradients_[at(kind(chunk))]; }

  std::vector<HeldBeside> moments() && { return std::move(moments_); }

 private:
  std::int16_t kind(int chunk) const { return static_cast<std::int16_t>(kinds_[at(chunk)]); }
  void note(HeldBeside now) {
    for (const HeldBeside& other : moments_)
      if (same_pass(now, other) && holds_no_more(now, other)) return;
    std::erase_if(moments_,
                  [&](const HeldBeside& other) { return same_pass(now, other) && holds_no_more(other, now); });
    moments_.push_back(std::move(now));
  }

  const std::vector<int>& kinds_;
  std::vector<std::int16_t> kept_, gradients_;
  std::vector<HeldBeside> moments_;
};

Moments moments_of(const std::vector<HeldBeside>& rank, ActivationsByChunk& chunks) {
  Moments moments;
  for (const HeldBeside& each : rank) {
    Beside beside;
    for (std::size_t kind = 0; kind < each.kept.size(); ++kind) {
      beside.kept += each.kept[kind] * chunks.distinct()[kind].kept;
      beside.gradients += each.gradients[kind] * chunks.distinct()[kind].late_gradients;
    }
    const Held& held = each.merged ? chunks.merged_kinds(each.kind, each.backward_kind)
                                   : held_in(each.pass, chunks.distinct()[at(each.kind)]);
    raise(moments, beside, each.pass, held, {});
  }
  return moments;
}

}  // namespace

const MemoryPlan& MemoryPlans::of(const models::StepProgram& program, const ActivationsByChunk& chunks) {
  const models::Layout& layout = program.layout;
  const bool merged = program.traits.ep_overlap, late = layout.fsdp > 0;
  const int microbatches = enough_microbatches(layout);
  std::vector<int> key{static_cast<int>(layout.schedule), layout.pp, layout.vp, microbatches, merged, late};
  key.insert(key.end(), chunks.kinds().begin(), chunks.kinds().end());
  const auto known = plans_.find(key);
  if (known != plans_.end()) return known->second;
  MemoryPlan plan;
  for (const auto& order : models::pipeline_schedule(layout, microbatches, {}, merged)) {
    RankCount count(chunks);
    walk_memory(order, chunks.size(), merged, late, count);
    plan.push_back(std::move(count).moments());
  }
  return plans_.emplace(std::move(key), std::move(plan)).first->second;
}

hw::Bytes peak_memory(const models::StepProgram& program, ActivationsByChunk& chunks, const MemoryPlan& plan) {
  double most = 0;
  for (std::size_t stage = 0; stage < plan.size(); ++stage) {
    const models::StaticMemory& fixed = program.stages[stage].memory;
    most = std::max(most, fullest_of(fixed, moments_of(plan[stage], chunks)).total() + fixed_bytes(fixed));
  }
  return {most + pipeline_buffers(program) + program.traits.allocator_overhead_gib * hw::kGiB};
}

}  // namespace sim
