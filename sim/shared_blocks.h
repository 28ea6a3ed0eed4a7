#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/units.h"
#include "models/lower_layout.h"
#include "models/run.h"
#include "models/step_program.h"
#include "sim/chunk_play.h"
#include "sim/cost.h"
#include "sim/memory_plan.h"
#include "sim/pipeline_plan.h"

namespace sim {

/// Schedules that layouts share, whatever their blocks: kept by each thread of a search.
struct SchedulePlans {
  PipelinePlans pipelines;
  MemoryPlans memory;
};

/// What is left of a Prediction where only layouts are compared.
struct Forecast {
  hw::Seconds step_time;
  hw::Bytes peak;
};

/// What one pipeline rank does for a microbatch, and the most that it holds.
struct StageLoad {
  hw::Seconds work;
  hw::Bytes peak;
};

/// Closed-form predictions of many layouts of one run that differ in nothing their blocks depend on: tp, sp, cp and its
/// kind, ep, etp, mbs, precision, recompute, traits and whether the schedule splits backward are the same; pp, vp, dp,
/// sharding, schedule and the places of layers may differ. Blocks are lowered and priced once, their passes played
/// once; predict() does all of that for each run, from the same parts.
class SharedBlocks {
 public:
  /// References are kept, and one to the run's machine. `efficiency`: as predict() takes it.
  SharedBlocks(const models::Run& run, const hw::Efficiency& efficiency, SchedulePlans& plans);
  ~SharedBlocks();
  SharedBlocks(const SharedBlocks&) = delete;
  SharedBlocks& operator=(const SharedBlocks&) = delete;

  /// Peak memory of the run as it is laid out now: predict(run, efficiency, closed_form).memory.peak.
  /// Nothing where the schedule splits backward: its orders depend on times, see forecast(). Cheapest where layouts
  /// with the same chunks come one after the other. The run must stay as it is until the next call.
  std::optional<hw::Bytes> peak(const models::Run& run);
  /// After peak() of the same layout: what no step of it is shorter than. `closer` plays passes, once for all layouts.
  hw::Seconds least_step_time(bool closer);
  /// After peak() of the same layout.
  hw::Seconds step_time();
  /// Both.
  Forecast forecast(const models::Run& run);
  /// The step time of a layout, its memory left out: for many that differ in the places of layers.
  hw::Seconds step_time(const models::Run& run);
  /// After any of these, for the same layout: passes of each pipeline rank.
  std::vector<hw::Seconds> stage_work();
  /// Of every pipeline rank.
  std::vector<StageLoad> stage_loads(const models::Run& run);

 private:
  struct Program;
  Program& program_of(const models::Run& run, models::ChunkPlan plan);
  void lay_out(const models::Run& run);
  void lower_data_parallel(const models::Run& run);
  PricedProgram& priced();
  ChunkTable chunk_table();

  const hw::Cluster& cluster_;
  const hw::Efficiency& efficiency_;
  std::string stack_;
  std::optional<hw::Efficiency> on_stack_;
  SchedulePlans& plans_;
  std::vector<std::unique_ptr<Program>> programs_;  ///< by the blocks that layouts use, few
  Program* now_ = nullptr;                          ///< of the layout looked at last
  const models::Run* run_ = nullptr;                ///< that layout
  std::optional<ActivationsByChunk> activations_;   ///< of its chunks
};

}  // namespace sim
