#include "cli/balance.h"

#include <algorithm>
#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/run_files.h"
#include "cli/terminal.h"
#include "hw/efficiency.h"
#include "hw/input_error.h"
#include "models/stage_layout_text.h"
#include "search/settings.h"

namespace cli {
namespace {

BalancedRun balanced(const FiledRun& filed, models::Library& library, const hw::Node& profile) {
  const models::Run run = models::parse_run(filed.description, library, filed.measured);
  const hw::Efficiency efficiency = hw::parse_efficiency(profile, run.cluster);
  search::Framework framework = search::read_framework(run.framework, library.data());
  const hw::Bytes room = search::room_of(framework.memory_margin, framework.memory_reserve, run.cluster);
  return {
      .name = filed.name, .framework = std::move(framework), .balanced = search::balance_run(run, efficiency, room)};
}

/// The description with the placement stated, in place of what it said of that.
std::string with_layout(const hw::Node& description, const models::Run& run) {
  const std::string layout = models::stage_layout_text(run.layout.chunks);
  const hw::Node stated = hw::Node::parse("{\"pp_layout\": \"" + layout + "\"}", description.file());
  const auto extra = description.find("extra");
  const hw::Node kept =
      extra ? search::without(*extra, {"account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split"})
            : hw::Node::parse("{}", description.file());
  const std::string whole = search::merged(kept, stated).dump();
  return search::merged(description, hw::Node::parse("{\"extra\": " + whole + "}", description.file())).pretty() + "\n";
}

}  // namespace

Answer balance(const BalanceOptions& options, const models::DataDirectory& data) {
  const std::vector<FiledRun> filed = read_runs(options.files);
  if (filed.empty()) throw hw::InputError("balance: needs RUN.json, the description of a run (docs/runs.md)");
  if (!options.out.empty() && filed.size() > 1) throw hw::InputError("--out: needs one run, got several");
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  std::vector<BalancedRun> runs;
  for (const FiledRun& each : filed) {
    BalancedRun run = balanced(each, library, profile);
    // Of many, those with something to place.
    if (filed.size() == 1 || run.balanced.before.run.layout.chunks.size() > 1) runs.push_back(std::move(run));
  }
  Answer answer;
  const auto fits = [](const BalancedRun& run) { return run.balanced.after.prediction.memory.fits(); };
  answer.status = std::ranges::all_of(runs, fits) ? kDone : kNo;
  answer.out = balance_text(runs, page_width().table);
  if (!options.out.empty())
    write_file(options.out, with_layout(filed.front().description, runs.front().balanced.after.run));
  if (!options.markdown.empty()) write_file(options.markdown, balance_markdown(runs));
  place_json(options.json, balance_json(runs), answer.out);
  return answer;
}

}  // namespace cli
