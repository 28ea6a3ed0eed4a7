#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/units.h"
#include "models/run.h"
#include "models/schedule.h"
#include "models/step_program.h"
#include "models/timeline.h"

namespace sim {

struct MemoryItem {
  const char* kind;  ///< weights, gradients, optimizer, activations, transient, gathered, communication, overhead
  hw::Bytes bytes;
};

/// Peak device memory of the fullest pipeline rank.
struct Memory {
  hw::Bytes peak, available;
  int stage = 0;                  ///< where the peak is
  std::string moment;             ///< when: `backward of chunk 3, microbatch 7`
  std::vector<MemoryItem> items;  ///< adds up to the peak
  bool fits() const { return peak <= available; }
};

/// One line of the breakdown; all lines add up to the step time.
struct BreakdownItem {
  std::string what;  ///< gemm, grouped_gemm, attention, pointwise, cast, scan, exposed_tp, exposed_ep, exposed_cp,
                     ///< exposed_fsdp, exposed_dp, exposed_p2p, host, bubble, optimizer, slowdown, step_constant
  hw::Seconds time;
};

/// What one pass over a chunk costs.
struct ChunkPrice {
  hw::Seconds forward, backward, input_grad, weight_grad, merged, first_forward_extra, last_backward_extra;
};

struct Prediction {
  hw::Seconds step_time;
  hw::Seconds low, high;  ///< 80 % interval
  double tflops_per_gpu = 0, mfu = 0, tokens_per_s_per_gpu = 0;
  Memory memory;
  std::vector<BreakdownItem> breakdown;
  std::array<hw::Seconds, hw::kOrigins> origin{};  ///< compute and communication time resting on each origin
  hw::Seconds ideal;                               ///< the critical rank's ops at datasheet speed, nothing exposed
  double bubble = 0;                               ///< share of the step that the critical rank idles in the pipeline
  std::vector<std::string> assumed;                ///< Run::assumed and what prediction added
};

enum class Tier { closed_form, events };

/// Predicts one step. Pure: the same input gives the same bytes every run.
///   closed_form  runs of equal blocks cut short, the pipeline by formula: for search
///   events       longer runs played op by op, the pipeline task by task; fills `timeline` if given
Prediction predict(const models::Run& run, const hw::Efficiency& efficiency, Tier tier,
                   models::Timeline* timeline = nullptr);

/// A run and its program. Where the source does not state what is recomputed, the least that fits.
struct LoweredRun {
  models::Run run;
  models::StepProgram program;
};
LoweredRun lower_to_fit(const models::Run& run);

/// Step time alone: of the same run with many efficiencies, for fits and searches.
hw::Seconds predict_step_time(const LoweredRun& lowered, const hw::Efficiency& efficiency, Tier tier);

/// The same for a program that is lowered already.
Prediction predict(const models::Run& run, const models::StepProgram& program, const hw::Efficiency& efficiency,
                   Tier tier, models::Timeline* timeline = nullptr);

/// Peak memory of every pipeline rank's worst moment, by liveness over the schedule.
///   orders  of all pipeline ranks, where they were laid out already: of a flush, or of enough microbatches to show
///           warm-up and steady state
Memory predict_memory(const models::Run& run, const models::StepProgram& program,
                      const std::vector<std::vector<models::PipelineTask>>& orders = {});

/// The 80 % interval is step time times and over this: docs/calibration.md.
double interval_factor(const models::Run& run, const hw::Intervals& intervals);

}  // namespace sim
