#include <exception>
#include <utility>
#include <vector>

#include "cli/tune_measure.h"
#include "exec/cpu/cpu_training.h"
#include "exec/cpu/op_run.h"
#include "exec/runnable.h"
#include "models/lower.h"

namespace cli {
namespace {

constexpr std::int64_t kWarmUp = 1;  ///< steps that are not counted: memory is allocated

exec::TokenSource tokens_of(const models::Run& run) {
  return exec::TokenSource::synthetic(run.model.vocab, run.train.seed);
}

tuning::Measurement trained(const models::Run& run, std::int64_t steps, const std::function<bool()>& stop_asked) {
  const models::StepProgram program = models::lower(run);
  if (const auto why = exec::why_not_runnable(run, program, exec::cpu::has_kernel))
    return {.failure = "cannot be trained: " + *why, .refused = true};
  tuning::Measurement measured;
  const exec::TrainingPlan plan{.steps = kWarmUp + steps, .save = {}, .resume = {}};
  const exec::TokenSource tokens = tokens_of(run);
  const exec::TrainingHooks hooks{.on_start = {},
                                  .on_step =
                                      [&](const exec::TrainedStep& step) {
                                        if (step.step > kWarmUp) measured.steps.push_back(step.time.value);
                                      },
                                  .on_save = {},
                                  .stop_asked = stop_asked};
  const exec::CpuTrainingResult result = exec::train_threads({run, program, plan, tokens, hooks});
  if (result.training.end == exec::TrainingEnd::stopped) measured.failure = "stopped";
  if (result.training.end == exec::TrainingEnd::diverged) measured.failure = "the loss is no number any more";
  return measured;
}

}  // namespace

tuning::Measure by_training(std::int64_t steps, const tuning::Subject& subject, models::Library& library,
                            std::function<bool()> stop_asked) {
  return [steps, &subject, &library,
          stop = std::move(stop_asked)](const tuning::Proposal& proposal) -> tuning::Measurement {
    if (std::string why; !written_as(proposal, subject, library, why)) return {.failure = why, .refused = true};
    try {
      return trained(proposal.run, steps, stop);
    } catch (const std::exception& error) {  // of one layout; the others are tried all the same
      return {.failure = error.what()};
    }
  };
}

}  // namespace cli
