// The run description of a layout that a search found.
#include <string>

#include "models/stage_layout_text.h"
#include "search/answer.h"
#include "search/settings.h"

namespace search {
namespace {

constexpr const char* kSchedules[] = {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"};
constexpr const char* kCpKinds[] = {"p2p", "all_gather", "a2a"};

/// Layers lie as any framework places them that is told nothing: equally many on each stage.
bool is_even(const models::Run& run) {
  const int stages = run.layout.pp * run.layout.vp;
  return static_cast<int>(run.model.layers.size()) % stages == 0 &&
         run.layout.chunks == models::split_stages(run.model, stages, false);
}

/// Members for `extra`: what has no key of its own.
std::string extra_of(const Candidate& candidate, const models::Run& run) {
  std::string text;
  const auto add = [&](const std::string& key, const std::string& value) {
    text += (text.empty() ? "\"" : ", \"") + key + "\": \"" + value + "\"";
  };
  if (candidate.keys.cp_kind) add("cp_comm_type", kCpKinds[static_cast<int>(*candidate.keys.cp_kind)]);
  if (!is_even(run)) add("pp_layout", models::stage_layout_text(run.layout.chunks));
  return "{" + text + "}";
}

std::string layout_keys(const models::LayoutKeys& keys) {
  std::string text;
  const auto add = [&](const char* key, const std::string& value) {
    text += (text.empty() ? "\"" : ", \"") + std::string(key) + "\": " + value;
  };
  add("gpus", std::to_string(keys.gpus));
  add("tp", std::to_string(keys.tp));
  add("sp", keys.sp ? "true" : "false");
  add("pp", std::to_string(keys.pp));
  add("vp", std::to_string(keys.vp));
  add("cp", std::to_string(keys.cp));
  add("ep", std::to_string(keys.ep));
  add("etp", std::to_string(keys.etp));
  add("mbs", std::to_string(keys.mbs));
  add("fsdp", std::to_string(keys.fsdp));
  add("zero", std::to_string(static_cast<int>(keys.zero)));
  add("schedule", "\"" + std::string(kSchedules[static_cast<int>(keys.schedule)]) + "\"");
  return "{" + text + "}";
}

}  // namespace

hw::Node description_of(const Query& query, const Candidate& candidate, const models::Run& laid_out) {
  const hw::Node& setting = query.settings[static_cast<std::size_t>(candidate.setting)];
  const std::string& name = query.description.file();
  const hw::Node keys = hw::Node::parse(layout_keys(candidate.keys), name);
  const std::string extra = extra_of(candidate, laid_out);
  const hw::Node run = merged(setting, keys);
  if (extra == "{}") return run;
  const auto stated = setting.find("extra");
  const hw::Node more = hw::Node::parse(extra, name);
  const std::string whole = stated ? merged(*stated, more).dump() : extra;
  return merged(run, hw::Node::parse("{\"extra\": " + whole + "}", name));
}

}  // namespace search
