#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "models/lower.h"
#include "sim/cost.h"
#include "sim/prediction.h"
#include "tests/bench/benched_run.h"

namespace bench {
namespace {

constexpr int kGpus = 1024;

/// One dense GEMM of a layer.
void price_of_an_op(benchmark::State& state) {
  const BenchedRun input = benched_run(kGpus);
  const models::StepProgram program = models::lower(input.run);
  const sim::CostModel model(program, input.run.cluster, input.efficiency);
  const models::Block& block = *std::ranges::find(program.blocks, models::BlockKind::layer, &models::Block::kind);
  const models::Op& op = *std::ranges::find_if(
      block.forward, [](const models::Op& each) { return std::holds_alternative<models::Gemm>(each.work); });
  for (auto _ : state) benchmark::DoNotOptimize(model.price(block, op));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(price_of_an_op);

void lowering(benchmark::State& state) {
  const BenchedRun input = benched_run(kGpus);
  for (auto _ : state) benchmark::DoNotOptimize(models::lower(input.run));
}
BENCHMARK(lowering)->Unit(benchmark::kMicrosecond);

void predicted_by(benchmark::State& state, sim::Tier tier, const char* target) {
  const BenchedRun input = benched_run(kGpus);
  for (auto _ : state) benchmark::DoNotOptimize(sim::predict(input.run, input.efficiency, tier));
  state.SetItemsProcessed(state.iterations());
  state.SetLabel(target);
}
/// Lowering included.
BENCHMARK_CAPTURE(predicted_by, closed_form, sim::Tier::closed_form, "target: at most 100 us")
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(predicted_by, events, sim::Tier::events, "target: at most 20 ms")->Unit(benchmark::kMillisecond);

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The time of a closed-form prediction for 102,400 GPUs; `ratio` is to that for 1,024. The two alternate, so that a
/// busy machine slows both.
void growth_to_100_000_gpus(benchmark::State& state) {
  using Clock = std::chrono::steady_clock;
  const BenchedRun small = benched_run(kGpus), large = benched_run(100 * kGpus);
  const auto seconds = [](const BenchedRun& input) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(sim::predict(input.run, input.efficiency, sim::Tier::closed_form));
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<double> small_times, large_times;
  for (auto _ : state) {
    small_times.push_back(seconds(small));
    large_times.push_back(seconds(large));
    state.SetIterationTime(large_times.back());
  }
  state.counters["ratio"] = median(large_times) / median(small_times);
  state.SetLabel("target: ratio at most 1.5");
}
BENCHMARK(growth_to_100_000_gpus)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace bench
