#include "cli/search.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <optional>
#include <utility>

#include "cli/check_search.h"
#include "cli/data_directory.h"
#include "cli/json_writer.h"
#include "cli/output_file.h"
#include "cli/rank_of.h"
#include "cli/search_effort.h"
#include "cli/search_progress.h"
#include "cli/stop_signals.h"
#include "cli/terminal.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "search/settings.h"

namespace cli {
namespace {

[[noreturn]] void refuse(const std::string& flag, const std::string& rule, const std::string& got) {
  throw hw::InputError(flag + ": " + rule + ", got " + hw::shortened(hw::printable(got)));
}

int positive(const std::string& flag, std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1)
    refuse(flag, "must be a positive integer", std::string(text));
  return value;
}

/// `64`, `64,128` or `64-1024`, which doubles.
void write_gpus(const std::string& text, JsonWriter& json) {
  json.key("gpus");
  const auto dash = text.find('-');
  if (dash != std::string::npos) {
    json.begin_object().member("min", positive("--gpus", std::string_view(text).substr(0, dash)));
    json.member("max", positive("--gpus", std::string_view(text).substr(dash + 1))).end_object();
    return;
  }
  json.begin_array();
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t to = std::min(text.find(',', from), text.size());
    json.value(positive("--gpus", std::string_view(text).substr(from, to - from)));
    from = to + 1;
  }
  json.end_array();
}

/// What flags say of the query.
hw::Node stated_by_flags(const SearchOptions& options) {
  JsonWriter json;
  json.begin_object();
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) json.member(key, value);
  };
  const auto number = [&](const char* flag, const char* key, const std::string& value) {
    if (!value.empty()) json.member(key, positive(flag, value));
  };
  text("model", options.model);
  text("system", options.system);
  if (!options.gpus.empty()) write_gpus(options.gpus, json);
  number("--gbs", "gbs", options.gbs);
  number("--seq", "seq_len", options.seq);
  text("framework", options.framework);
  text("precision", options.query.empty() && options.precision.empty() ? "bf16" : options.precision);
  text("objective", options.objective);
  number("--top", "top", options.top);
  number("--rerank", "rerank", options.rerank);
  if (options.balance_stages) json.member("stages", "balanced");
  json.end_object();
  return hw::Node::parse(json.text(), "flags");
}

search::Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  const auto slash = text.find('/');
  if (slash == std::string::npos) refuse("--shard", "must be i/n", text);
  const std::string_view whole = text;
  const search::Shard shard{.index = positive("--shard", whole.substr(0, slash)),
                            .of = positive("--shard", whole.substr(slash + 1))};
  if (shard.index > shard.of) refuse("--shard", "must be i/n with i from 1 to n", text);
  return shard;
}

search::Query query_of(const SearchOptions& options, models::Library& library) {
  const hw::Node flags = stated_by_flags(options);
  const hw::Node node = options.query.empty() ? flags : search::merged(hw::Node::read_file(options.query), flags);
  const hw::Node named = options.query.empty() ? node : hw::Node::parse(node.dump(), options.query);
  search::Query query = search::parse_query(named, library);
  query.shard = parse_shard(options.shard);
  query.prune = !options.no_prune;
  return query;
}

search::Answer merged_answers(const SearchOptions& options, models::Library& library, const hw::Node& profile) {
  std::vector<hw::Node> answers;
  for (const std::string& file : options.merge) answers.push_back(hw::Node::read_file(file));
  return search::merge(answers, library, profile);
}

search::Answer searched(const SearchOptions& options, models::Library& library, const hw::Node& profile) {
  const search::Query query = query_of(options, library);
  SearchProgress shown(options.quiet);
  std::atomic<bool> stop = false;
  const StopSignals signals([&] { stop = true; });
  const search::Progress progress{.report = [&](const search::Found& found) { shown.show(found); }, .stop = &stop};
  return search::search(query, library, profile, options.threads, progress);
}

}  // namespace

Answer search(const SearchOptions& options, const models::DataDirectory& data) {
  if (!options.rank_of.empty()) return rank_of(options, data);
  if (!options.effort.empty()) return search_effort(options, data);
  if (!options.check.empty()) return check_search(options, data);
  const bool has_query = !options.query.empty() || !options.model.empty();
  if (has_query == !options.merge.empty())
    throw hw::InputError("search: needs QUERY.json or --model (docs/search.md), or else --merge with answers");
  if (options.threads < 0) refuse("--threads", "must be a positive integer", std::to_string(options.threads));
  models::Library library(data);
  const hw::Node profile = read_profile(options.profile, data);
  const search::Answer found =
      options.merge.empty() ? searched(options, library, profile) : merged_answers(options, library, profile);
  Answer answer;
  answer.status = found.rows.empty() ? kNo : kDone;
  answer.out = search_text(found, page_width().table);
  place_json(options.json, search_json(found), answer.out);
  return answer;
}

}  // namespace cli
