#include "cli/search_effort.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <vector>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/run_files.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "search/explore.h"
#include "search/space.h"

namespace cli {
namespace {

using Align = TextTable::Align;

/// Of larger spaces, one core looks at every so many-th group that gives about as many layouts.
constexpr std::int64_t kLayoutsOfOneCore = 500'000;

/// What the process has used up to now.
struct Used {
  double wall_s = 0, cpu_s = 0, peak_mib = 0;
};

Used used() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  const std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
  return {.wall_s = now.count(),
          .cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime),
          .peak_mib = static_cast<double>(usage.ru_maxrss) / 1024};
}

/// One search of a query's space, and what it took.
struct Effort {
  search::Counts counts;
  double wall_s = 0, cpu_s = 0, peak_mib = 0;
  double layouts_per_cpu_s() const { return static_cast<double>(counts.legal) / cpu_s; }
};

Effort effort_of(const search::Query& query, models::Library& library, const hw::Node& profile, int threads) {
  const Used before = used();
  const search::Space space(query, library);
  std::vector<hw::Efficiency> efficiencies;
  efficiencies.reserve(static_cast<std::size_t>(space.settings()));
  for (int i = 0; i < space.settings(); ++i)
    efficiencies.push_back(hw::parse_efficiency(profile, space.setting(i).base().cluster));
  const search::Found found = search::explore(query, space, efficiencies, threads, {});
  const Used after = used();
  return {.counts = found.counts,
          .wall_s = after.wall_s - before.wall_s,
          .cpu_s = after.cpu_s - before.cpu_s,
          .peak_mib = after.peak_mib};
}

std::string count_text(std::int64_t count) { return grouped(static_cast<double>(count)); }

void add(const FiledRun& filed, const SearchOptions& options, models::Library& library, const hw::Node& profile,
         TextTable& table) {
  search::Query query = search::parse_query(filed.description, library);
  const Effort whole = effort_of(query, library, profile, options.threads);
  query.shard.of = static_cast<int>(1 + whole.counts.legal / kLayoutsOfOneCore);
  const Effort pruned = effort_of(query, library, profile, 1);
  query.prune = false;
  const Effort unpruned = effort_of(query, library, profile, 1);
  table.add({filed.name, count_text(whole.counts.legal), count_text(whole.counts.timed + whole.counts.pruned),
             four_digits(whole.wall_s), four_digits(whole.cpu_s), fmt::format("{:.0f}", whole.peak_mib),
             grouped(pruned.layouts_per_cpu_s()), grouped(unpruned.layouts_per_cpu_s())});
}

}  // namespace

Answer search_effort(const SearchOptions& options, const models::DataDirectory& data) {
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  TextTable table({{"query"},
                   {"layouts", Align::right},
                   {"fit", Align::right},
                   {"wall s", Align::right},
                   {"CPU s", Align::right},
                   {"peak MiB", Align::right},
                   {"layouts/s on one core", Align::right},
                   {"the same, nothing pruned", Align::right}});
  for (const FiledRun& filed : read_runs(options.effort)) add(filed, options, library, profile, table);
  Answer answer{.out = table.text(page_width().table)};
  if (!options.markdown.empty()) write_file(options.markdown, table.markdown());
  return answer;
}

}  // namespace cli
