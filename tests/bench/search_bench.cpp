#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "models/run.h"
#include "search/explore.h"
#include "search/query.h"
#include "search/space.h"

namespace bench {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

/// Layouts of configs/searches/NAME.json: all of them, or one in `shards` groups that share blocks. Memory is predicted
/// of each, the step time of those that fit; with `prune`, of those that bounds do not show to be worse than the best.
void search_of(benchmark::State& state, const char* name, bool prune, int shards, int threads, const char* target) {
  models::Library library({kRoot});
  search::Query query =
      search::parse_query(hw::Node::read_file(kRoot + "/configs/searches/" + name + ".json"), library);
  query.prune = prune;
  query.shard.of = shards;
  const search::Space space(query, library);
  const hw::Node profile = hw::Node::read_file(kRoot + "/calibration/profiles/default.json");
  std::vector<hw::Efficiency> efficiencies;
  efficiencies.reserve(static_cast<std::size_t>(space.settings()));
  for (int i = 0; i < space.settings(); ++i)
    efficiencies.push_back(hw::parse_efficiency(profile, space.setting(i).base().cluster));
  search::Counts counts;
  for (auto _ : state) counts = search::explore(query, space, efficiencies, threads, {}).counts;
  state.SetItemsProcessed(state.iterations() * counts.legal);
  state.counters["layouts"] = static_cast<double>(counts.legal);
  state.counters["timed"] = static_cast<double>(counts.timed);
  state.counters["pruned"] = static_cast<double>(counts.pruned);
  state.counters["too_large"] = static_cast<double>(counts.too_large);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  state.counters["peak_MiB"] = static_cast<double>(usage.ru_maxrss) / 1024;
  state.SetLabel(target);
}
constexpr const char *kGpt = "gpt3-175b-a100-64", *kDeepseek = "deepseek-v3-h100-1024";
BENCHMARK_CAPTURE(search_of, gpt3_175b_on_64_a100, kGpt, true, 1, 1, "target: at least 100k/s")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search_of, gpt3_175b_on_64_a100_nothing_pruned, kGpt, false, 1, 1, "target: at least 100k/s")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search_of, deepseek_v3_on_1024_h100_one_in_101, kDeepseek, true, 101, 1, "target: at least 30k/s")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search_of, deepseek_v3_on_1024_h100_one_in_101_nothing_pruned, kDeepseek, false, 101, 1,
                  "target: at least 30k/s")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(search_of, deepseek_v3_on_1024_h100_two_threads, kDeepseek, true, 1, 2, "target: at most 60 s")
    ->Unit(benchmark::kSecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace bench
