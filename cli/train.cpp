#include "cli/train.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/output_file.h"
#include "cli/stop_signals.h"
#include "cli/train_progress.h"
#include "exec/checkpoint.h"
#include "exec/checkpoint_manifest.h"
#include "exec/cpu/cpu_training.h"
#include "exec/cpu/op_run.h"
#include "exec/durable_file.h"
#include "exec/launched_rank.h"
#include "exec/runnable.h"
#include "exec/step_trace.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/lower.h"
#include "models/timeline.h"

namespace cli {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& rule) {
  throw hw::InputError(hw::printable(what) + ": " + rule);
}

std::int64_t positive(const std::string& flag, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0)
    refuse(flag, "must be a positive integer, got " + hw::shortened(hw::printable(text)));
  return value;
}

exec::TrainingPlan plan_of(const TrainOptions& options, const models::Run& run) {
  exec::TrainingPlan plan{.steps = run.train.steps, .save = options.save, .resume = {}};
  if (!options.steps.empty()) plan.steps = positive("--steps", options.steps);
  if (plan.steps == 0) refuse("train", "needs --steps N");
  if (!options.save_every.empty()) plan.save_every = positive("--save-every", options.save_every);
  if (plan.save_every > 0 && plan.save.empty()) refuse("--save-every", "needs --save DIR");
  if (!options.resume.empty()) plan.resume = exec::find_checkpoint(options.resume);
  return plan;
}

/// A checkpoint is never written over.
void check_save(const exec::TrainingPlan& plan) {
  if (plan.save.empty()) return;
  const std::int64_t start = plan.resume.empty() ? 0 : exec::read_manifest(plan.resume).step;
  const auto newest = exec::newest_checkpoint(plan.save);
  if (newest && *newest > start)
    refuse(plan.save,
           "holds a checkpoint of step " + std::to_string(*newest) + " already: --resume it, or --save elsewhere");
  exec::make_folder(plan.save);
}

/// The launcher's place for this process where ranks are processes; nothing where they are threads.
std::optional<exec::LaunchedRank> place_of(const TrainOptions& options, const models::Run& run) {
  if (options.ranks != "threads" && !options.ranks.empty() && positive("--ranks", options.ranks) != run.layout.gpus)
    refuse("--ranks",
           "must be threads or the run's gpus (" + std::to_string(run.layout.gpus) + "), got " + options.ranks);
  const auto launched = exec::launched_rank([](const char* name) { return std::getenv(name); });
  if (!launched || (options.ranks == "threads" && launched->size == 1)) return std::nullopt;
  if (options.ranks == "threads")
    refuse("--ranks", "threads are of one process, but a launcher started " + std::to_string(launched->size));
  if (launched->size != run.layout.gpus)
    refuse(options.run, "/gpus: must be the number of processes that the launcher started (" +
                            std::to_string(launched->size) + "), got " + std::to_string(run.layout.gpus));
  return launched;
}

void check_runnable(const TrainOptions& options, const models::Run& run, const models::StepProgram& program) {
  if (const auto why = exec::why_not_runnable(run, program, exec::cpu::has_kernel))
    refuse(options.run, "cannot be trained: " + *why);
}

/// Ranks that are processes may be on several machines.
void check_memory(const TrainOptions& options, const models::Run& run, const models::StepProgram& program) {
  const hw::Bytes needed = exec::state_bytes(run, program);
  const hw::Bytes available{static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE))};
  if (needed > available)
    refuse(options.run, "cannot be trained: weights, gradients and moments of all ranks need " +
                            std::to_string(static_cast<std::int64_t>(hw::to_gib(needed))) + " GiB, this machine has " +
                            std::to_string(static_cast<std::int64_t>(hw::to_gib(available))));
}

exec::TracedRanks traced_of(const TrainOptions& options) {
  if (options.trace.empty() && !options.trace_ranks.empty()) refuse("--trace-ranks", "needs --trace OUT.json");
  if (options.trace.empty()) return exec::TracedRanks::none;
  if (options.trace == "-") refuse("--trace", "must be a file, got -");
  if (options.trace_ranks.empty() || options.trace_ranks == "stages") return exec::TracedRanks::one_a_stage;
  if (options.trace_ranks == "all") return exec::TracedRanks::all;
  refuse("--trace-ranks", "must be one of stages, all, got " + hw::shortened(hw::printable(options.trace_ranks)));
}

exec::StreamMode streams_of(const TrainOptions& options) {
  if (options.streams.empty() || options.streams == "inline") return exec::StreamMode::immediate;
  if (options.streams == "threads") return exec::StreamMode::threads;
  refuse("--streams", "must be one of inline, threads, got " + hw::shortened(hw::printable(options.streams)));
}

void write_trace(const TrainOptions& options, const models::Run& run, const models::StepProgram& program,
                 const std::vector<exec::RankRecords>& records) {
  const bool all = options.trace_ranks == "all";
  write_file(options.trace,
             models::to_chrome_trace(exec::timeline_of(program, records), run.id.empty() ? options.run : run.id, "real",
                                     all ? "rank" : "pipeline rank"));
}

exec::TokenSource tokens_of(const TrainOptions& options, const models::Run& run) {
  const std::string& data = options.data.empty() ? run.train.data : options.data;
  if (!data.empty() && data != "synthetic" && run.model.dit)
    refuse("--data", "must be synthetic for a diffusion model, got " + data);
  if (data.empty() || data == "synthetic") return exec::TokenSource::synthetic(run.model.vocab, run.train.seed);
  return exec::TokenSource::file(data, run.model.vocab, run.layout.seq_len);
}

Answer answer_of(const TrainOptions& options, const models::Run& run, const TrainedRun& trained) {
  Answer answer{.status = trained.result.end == exec::TrainingEnd::diverged ? kNo : kDone,
                .out = training_text(run, trained)};
  place_json(options.json, training_json(run, trained), answer.out);
  return answer;
}

}  // namespace

Answer train(const TrainOptions& options, const models::DataDirectory& data) {
  if (options.run.empty()) refuse("train", "needs RUN.json, the description of a run (docs/runs.md)");
  models::Library library(data);
  const models::Run run = models::parse_run(hw::Node::read_file(options.run), library, false);
  const models::StepProgram program = models::lower(run);
  check_runnable(options, run, program);
  const exec::TrainingPlan plan = plan_of(options, run);
  const exec::TracedRanks traced = traced_of(options);
  const exec::StreamMode streams = streams_of(options);
  const auto place = place_of(options, run);
  if (!place) check_memory(options, run, program);
  check_save(plan);
  const exec::TokenSource tokens = tokens_of(options, run);

  const bool speaks = !place || place->rank == 0;
  TrainedRun trained{.processes = place.has_value(), .resumed = plan.resume, .save = plan.save};
  TrainProgress progress(run, plan.steps, options.quiet || !speaks);
  TrainLog log(speaks ? options.log : "", !plan.resume.empty());
  StopSignals signals([&] { progress.note("stopping after this step; a second signal stops at once"); });
  const exec::TrainingHooks hooks{.on_start = {},
                                  .on_step =
                                      [&](const exec::TrainedStep& step) {
                                        trained.steps.push_back(step);
                                        log.step(run, step);
                                        progress.step(step);
                                      },
                                  .on_save = [&](std::int64_t, const std::string& at) { progress.note("saved " + at); },
                                  .stop_asked = [&] { return signals.asked(); }};
  const exec::CpuTraining training{run, program, plan, tokens, hooks, streams, traced};
  const auto on_failure = [&](const std::string& why) {
    progress.finish();
    std::fprintf(stderr, "error: %s\n", why.c_str());
  };
  exec::CpuTrainingResult result = place ? exec::train_process(training, on_failure) : exec::train_threads(training);
  trained.result = std::move(result.training);
  progress.finish();
  if (trained.result.end == exec::TrainingEnd::stopped) trained.stopped_by = signals.name();
  if (speaks && traced != exec::TracedRanks::none) write_trace(options, run, program, result.records);
  return speaks ? answer_of(options, run, trained) : Answer{};
}

}  // namespace cli
