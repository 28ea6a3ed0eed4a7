#include "tests/exec/trained.h"

#include <algorithm>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "exec/cpu/cpu_communicator.h"
#include "exec/cpu/cpu_device.h"
#include "exec/cpu/thread_transport.h"
#include "exec/element.h"
#include "exec/rank_executor.h"
#include "hw/node.h"
#include "models/lower.h"

namespace exec {
namespace {

void collect(RankExecutor& executor, std::map<std::string, WholeWeight>& weights) {
  for (const ParameterGroup& group : executor.parameters().groups()) {
    const std::int64_t first = group.weights_sharded ? group.total / group.shards * group.index : 0;
    for (const Parameter& p : group.parameters) {
      WholeWeight& whole = weights[p.name];
      whole.rows = p.whole_rows;
      whole.columns = p.whole_columns;
      whole.values.resize(static_cast<std::size_t>(p.whole_rows * p.whole_columns));
      for (std::int64_t i = 0; i < p.elements(); ++i) {
        const std::int64_t place = p.offset + i - first;
        if (place < 0 || place >= group.weights.columns) continue;
        const std::int64_t row = p.row_of[static_cast<std::size_t>(i / p.columns)];
        const std::int64_t column = p.column_of[static_cast<std::size_t>(i % p.columns)];
        whole.values[static_cast<std::size_t>(row * p.whole_columns + column)] = element(group.weights, place);
      }
    }
  }
}

}  // namespace

Trained train(const models::Run& run, int steps, StreamMode mode) {
  const models::StepProgram program = models::lower(run);
  Trained result;
  result.losses.resize(static_cast<std::size_t>(steps));
  result.gradient_norms = result.losses;
  result.norms_of_parameters.resize(result.losses.size());
  result.peak_bytes.resize(static_cast<std::size_t>(run.layout.gpus));
  result.records.resize(result.peak_bytes.size());
  std::mutex mutex;
  const TokenSource tokens = TokenSource::synthetic(run.model.vocab, run.train.seed);
  run_thread_ranks(run.layout.gpus, [&](Transport& transport) {
    RealClock clock;
    CpuDevice device(mode, clock, [&](const std::string& why) { transport.fail(why); });
    RankExecutor executor(run, program, device, transport,
                          [&](int id, const std::string& name, const std::vector<int>& ranks) {
                            return std::make_unique<CpuCommunicator>(transport, RankGroup{id, name, ranks});
                          });
    for (int step = 0; step < steps; ++step) {
      const StepResult one = executor.step(step, tokens);
      std::vector<LaunchRecord> launches = device.streams().take_records();
      const std::lock_guard lock(mutex);
      const auto at = static_cast<std::size_t>(step);
      result.losses[at] = one.loss;
      result.gradient_norms[at] = one.gradient_norm;
      for (const auto& [name, square] : executor.gradient_squares_of_step())
        result.norms_of_parameters[at][name] += square;
      const int rank = transport.rank(), stage = executor.grid().index(models::GroupKind::pp);
      result.records[static_cast<std::size_t>(rank)] = {rank, stage, std::move(launches)};
      std::size_t& peak = result.peak_bytes[static_cast<std::size_t>(transport.rank())];
      peak = std::max(peak, one.peak_bytes);
    }
    executor.gather_weights();
    device.synchronize();
    const std::lock_guard lock(mutex);
    collect(executor, result.weights);
  });
  for (auto& step : result.norms_of_parameters)
    for (auto& [name, square] : step) square = std::sqrt(square);
  return result;
}

models::Run tiny_run(const std::string& golden, const std::string& overrides) {
  const std::string root = STEPCAST_SOURCE_DIR;
  std::ifstream in(root + "/tests/exec/goldens/" + golden + ".json");
  nlohmann::json run = nlohmann::json::parse(in).at("run");
  run.merge_patch(nlohmann::json::parse(overrides));
  models::Library library({root});
  return models::parse_run(hw::Node::parse(run.dump(), golden), library, false);
}

}  // namespace exec
