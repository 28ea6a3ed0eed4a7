#include "cli/rank_of.h"

#include <algorithm>
#include <atomic>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/run_files.h"
#include "cli/search_progress.h"
#include "cli/stop_signals.h"
#include "cli/terminal.h"
#include "hw/input_error.h"

namespace cli {
namespace {

NamedStanding standing(const FiledRun& filed, const SearchOptions& options, models::Library& library,
                       const hw::Node& profile, const std::atomic<bool>& stop) {
  SearchProgress shown(options.quiet);
  const search::Progress progress{.report = [&](const search::Found& found) { shown.show(found); }, .stop = &stop};
  const models::Run run = models::parse_run(filed.description, library, filed.measured);
  return {filed.name, search::standing_of(filed.description, run, library, profile, options.threads, progress)};
}

}  // namespace

Answer rank_of(const SearchOptions& options, const models::DataDirectory& data) {
  if (!options.query.empty() || !options.merge.empty())
    throw hw::InputError("--rank-of: the run is the question, QUERY.json and --merge are others");
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  std::atomic<bool> stop = false;
  const StopSignals signals([&] { stop = true; });
  std::vector<NamedStanding> standings;
  for (const FiledRun& filed : read_runs(options.rank_of)) {
    if (stop) break;
    standings.push_back(standing(filed, options, library, profile, stop));
  }
  Answer answer;
  const auto is_missing = [](const NamedStanding& each) { return !each.standing.missing.empty(); };
  answer.status = std::ranges::any_of(standings, is_missing) ? kNo : kDone;
  answer.out = standings_text(standings, page_width().table);
  if (!options.markdown.empty()) write_file(options.markdown, standings_markdown(standings));
  place_json(options.json, standings_json(standings), answer.out);
  return answer;
}

}  // namespace cli
