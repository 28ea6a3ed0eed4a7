#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/json_writer.h"
#include "cli/train.h"
#include "cli/wording.h"
#include "hw/cluster.h"
#include "models/model_flops.h"
#include "models/numerics.h"

namespace cli {
namespace {

std::size_t most_bytes(const exec::TrainingResult& result) {
  return result.peak_bytes.empty() ? 0 : *std::ranges::max_element(result.peak_bytes);
}

std::string_view name(exec::TrainingEnd end) {
  constexpr std::string_view kNames[] = {"done", "stopped", "diverged"};
  return kNames[static_cast<int>(end)];
}

/// How it ended, where that was not as planned.
std::string ending(const TrainedRun& trained) {
  const exec::TrainingResult& result = trained.result;
  if (result.end == exec::TrainingEnd::diverged)
    return fmt::format("diverged: the loss of step {} is not a number; that step is not saved\n", result.last);
  if (result.end != exec::TrainingEnd::stopped) return "";
  return fmt::format("stopped by {} after step {}{}\n", trained.stopped_by.empty() ? "a signal" : trained.stopped_by,
                     result.last, trained.save.empty() ? ", nothing is saved (no --save)" : "");
}

}  // namespace

hw::Seconds TrainedRun::median_step_time() const {
  std::vector<double> times;
  for (const exec::TrainedStep& step : steps) times.push_back(step.time.value);
  if (times.empty()) return {0};
  std::ranges::sort(times);
  const std::size_t middle = times.size() / 2;
  return {times.size() % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2};
}

double tokens_of_step(const models::Run& run) {
  return static_cast<double>(run.layout.gbs) * static_cast<double>(run.layout.seq_len);
}

std::optional<double> trained_mfu(const models::Run& run, hw::Seconds step_time) {
  if (run.cluster.gpu.architecture.starts_with("sm_") || step_time.value <= 0) return std::nullopt;
  const double peak = hw::peak_of(run.cluster.gpu, models::matmul_type(run.precision)).value * run.layout.gpus;
  if (peak <= 0) return std::nullopt;
  const hw::Flops per_token = models::model_flops_per_token(run.model, run.layout.seq_len, run.layout.tp, run.flops,
                                                            {.lora = run.lora.has_value()});
  return per_token.value * tokens_of_step(run) / step_time.value / peak;
}

std::string training_text(const models::Run& run, const TrainedRun& trained) {
  const exec::TrainingResult& result = trained.result;
  std::string out = fmt::format("{} on {} {} as {}, {}\n{}\n{}\n\n", run.model.name, run.layout.gpus,
                                run.layout.gpus == 1 ? "rank" : "ranks", trained.processes ? "processes" : "threads",
                                name(run.precision), layout_text(run.layout), batch_text(run.layout));
  if (!trained.resumed.empty()) out += fmt::format("resumed      {}, step {}\n", trained.resumed, result.first);
  if (trained.steps.empty()) return out + fmt::format("trained      nothing: step {} is done already\n", result.first);
  const hw::Seconds time = trained.median_step_time();
  out += fmt::format("trained      steps {} to {}\n", result.first + 1, result.last);
  out += fmt::format("loss         {:.4f} at first, {:.4f} at last\n", trained.steps.front().loss,
                     trained.steps.back().loss);
  out += fmt::format("step time    {} (median)\n", time_text(time));
  out += fmt::format("tokens/s     {}\n", grouped(tokens_of_step(run) / time.value));
  if (const auto mfu = trained_mfu(run, time)) out += "MFU          " + percent_text(*mfu) + "\n";
  out += fmt::format("memory       {:.2f} MiB on the rank that needs most\n",
                     static_cast<double>(most_bytes(result)) / (1024 * 1024));
  if (!result.saved.empty()) out += fmt::format("saved        {}/step-{}\n", trained.save, result.saved.back());
  return out + ending(trained);
}

std::string training_json(const models::Run& run, const TrainedRun& trained) {
  const exec::TrainingResult& result = trained.result;
  const hw::Seconds time = trained.median_step_time();
  const bool trains = !trained.steps.empty();
  JsonWriter json;
  const auto number = [&](std::string_view key, double value, bool known) {
    json.key(key);
    known ? json.value(value) : json.null();
  };
  const auto text = [&](std::string_view key, const std::string& value) {
    json.key(key);
    value.empty() ? json.null() : json.value(value);
  };
  json.begin_object();
  text("id", run.id);
  json.member("model", run.model.name).member("precision", name(run.precision));
  json.member("ranks", run.layout.gpus).member("ranks_are", trained.processes ? "processes" : "threads");
  json.member("end", name(result.end));
  text("stopped_by", trained.stopped_by);
  text("resumed", trained.resumed);
  json.member("first_step", static_cast<double>(result.first)).member("last_step", static_cast<double>(result.last));
  number("first_loss", trains ? trained.steps.front().loss : 0, trains);
  number("last_loss", trains ? trained.steps.back().loss : 0, trains);
  number("last_gradient_norm", trains ? trained.steps.back().gradient_norm : 0, trains);
  number("step_time_s", time.value, trains);
  number("tokens_per_s", trains ? tokens_of_step(run) / time.value : 0, trains);
  const auto mfu = trained_mfu(run, time);
  number("mfu", mfu.value_or(0), mfu.has_value());
  number("peak_gib", static_cast<double>(most_bytes(result)) / hw::kGiB, trains);
  json.key("saved").begin_array();
  for (const std::int64_t step : result.saved) json.value(trained.save + "/step-" + std::to_string(step));
  json.end_array().end_object();
  return json.text();
}

}  // namespace cli
