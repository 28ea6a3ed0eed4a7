#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "cli/json_writer.h"
#include "cli/rank_of.h"
#include "cli/text_table.h"
#include "cli/wording.h"

namespace cli {
namespace {

using Align = TextTable::Align;
using search::Standing;

std::string layout_of(const models::Run& run) {
  return layout_text(run.layout) + fmt::format(", mbs {}, recompute {}", run.layout.mbs, recompute_text(run));
}

std::string count_text(std::int64_t count) { return grouped(static_cast<double>(count)); }

std::string gain_text(const Standing& standing) {
  return fmt::format("{} ({} to {})", signed_percent_number(standing.gain.ratio - 1),
                     signed_percent_number(standing.gain.low - 1), signed_percent_number(standing.gain.high - 1));
}

std::string rank_text(const Standing& standing) {
  if (!standing.missing.empty()) return "not in the space";
  const std::string text = count_text(standing.rank()) + " of " + count_text(standing.that_fit());
  return standing.fits ? text : text + ", but needs more than the margin leaves";
}

TextTable standings_table(const std::vector<NamedStanding>& standings) {
  TextTable table({{"run"},
                   {"layout"},
                   {"rank"},
                   {"legal", Align::right},
                   {"predicted s", Align::right},
                   {"GiB", Align::right},
                   {"proposed"},
                   {"predicted s", Align::right},
                   {"GiB", Align::right},
                   {"faster by % (80 % interval)"}});
  for (const auto& [name, standing] : standings) {
    std::vector<std::string> cells{name,
                                   layout_of(standing.run),
                                   rank_text(standing),
                                   count_text(standing.answer.counts.legal),
                                   four_digits(standing.own.step_time.value),
                                   gib_number(standing.own.memory.peak)};
    if (standing.answer.rows.empty()) {
      cells.emplace_back("nothing fits");
    } else {
      const search::Row& best = standing.answer.rows.front();
      for (std::string& cell :
           std::vector<std::string>{layout_of(best.run), four_digits(best.prediction.step_time.value),
                                    gib_number(best.prediction.memory.peak), gain_text(standing)})
        cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  return table;
}

/// Why spaces lack what they lack.
std::string missing_text(const std::vector<NamedStanding>& standings, const char* mark) {
  std::string text;
  for (const auto& [name, standing] : standings)
    if (!standing.missing.empty()) text += fmt::format("{}{}: {}\n", mark, name, standing.missing);
  return text;
}

void write_standing(const NamedStanding& named, JsonWriter& json) {
  const Standing& standing = named.standing;
  json.begin_object().member("name", named.name);
  json.key("missing");
  standing.missing.empty() ? json.null() : json.value(standing.missing);
  json.member("fits", standing.fits);
  json.member("rank", static_cast<double>(standing.rank()));
  json.member("that_fit", static_cast<double>(standing.that_fit()));
  json.member("legal", static_cast<double>(standing.answer.counts.legal));
  json.member("step_time_s", standing.own.step_time.value).member("closed_form_s", standing.own_closed_form.value);
  json.member("peak_gib", hw::to_gib(standing.own.memory.peak));
  json.key("proposed");
  if (standing.answer.rows.empty()) {
    json.null();
  } else {
    const search::Row& best = standing.answer.rows.front();
    json.begin_object().member("step_time_s", best.prediction.step_time.value);
    json.member("peak_gib", hw::to_gib(best.prediction.memory.peak)).member("gain", standing.gain.ratio - 1);
    json.key("gain80").begin_array().value(standing.gain.low - 1).value(standing.gain.high - 1).end_array();
    json.key("run").json(best.description.dump()).end_object();
  }
  json.end_object();
}

}  // namespace

std::string standings_text(const std::vector<NamedStanding>& standings, std::size_t width) {
  return standings_table(standings).text(width) + missing_text(standings, "");
}

std::string standings_markdown(const std::vector<NamedStanding>& standings) {
  const std::string missing = missing_text(standings, "- ");
  return standings_table(standings).markdown() + (missing.empty() ? "" : "\n" + missing);
}

std::string standings_json(const std::vector<NamedStanding>& standings) {
  JsonWriter json;
  json.begin_object().key("runs").begin_array();
  for (const NamedStanding& each : standings) write_standing(each, json);
  json.end_array().end_object();
  return json.text();
}

}  // namespace cli
