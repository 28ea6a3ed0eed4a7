#include "cli/check_search.h"

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/run_files.h"
#include "cli/terminal.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "hw/input_error.h"
#include "search/check.h"
#include "search/settings.h"

namespace cli {
namespace {

using Align = TextTable::Align;

constexpr double kLargestRegret = 0.01;  ///< of the closed form's pick, by events

std::string count_text(std::int64_t count) { return grouped(static_cast<double>(count)); }

bool passes(const search::Check& check) { return check.same && check.regret.value_or(0) <= kLargestRegret; }

void add(const std::string& name, const search::Check& check, TextTable& table) {
  table.add({name, count_text(check.whole.legal), count_text(check.whole.timed), count_text(check.pruned.timed),
             check.same ? "yes" : "no", count_text(static_cast<std::int64_t>(check.by_events)),
             check.regret ? percent_number(*check.regret) : "by memory"});
}

}  // namespace

Answer check_search(const SearchOptions& options, const models::DataDirectory& data) {
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  TextTable table({{"query"},
                   {"legal", Align::right},
                   {"fit", Align::right},
                   {"timed with bounds", Align::right},
                   {"same answer"},
                   {"by events", Align::right},
                   {"regret %", Align::right}});
  Answer answer;
  for (const FiledRun& filed : read_runs(options.check)) {
    const hw::Node query = search::without(filed.description, {"id"});
    const search::Check check = search::check(search::parse_query(query, library), library, profile, options.threads);
    if (!passes(check)) answer.status = kNo;
    add(filed.name, check, table);
  }
  answer.out = table.text(page_width().table);
  if (!options.markdown.empty()) write_file(options.markdown, table.markdown());
  return answer;
}

}  // namespace cli
