#include "search/query.h"

#include <algorithm>
#include <string_view>

#include "hw/error_text.h"
#include "search/settings.h"

namespace search {
namespace {

using hw::Node;

constexpr const char* kObjectives[] = {"step_time", "tokens_per_s_per_gpu", "cost", "energy", "memory"};
constexpr int kTop = 10, kRerank = 50;  ///< where a query does not say

std::vector<Node> list(const Node& value) {
  if (!value.is_array()) return {value};
  std::vector<Node> all = value.elements();
  if (all.empty()) value.fail("must name at least one value");
  return all;
}

/// Where the values of a key of the layout stand: pinned, at the top level, in the query's or the framework's space.
class Sources {
 public:
  Sources(const Node& query, const Node& framework_space) : query_(query), framework_(framework_space) {}

  std::optional<Node> of(const char* key) const {
    for (const char* place : {"pin", "", "space"}) {
      const auto object = *place ? query_.find(place) : std::optional<Node>(query_);
      const auto value = object ? object->find(key) : std::nullopt;
      if (value) return value;
    }
    return framework_.find(key);
  }

 private:
  const Node& query_;
  const Node& framework_;
};

template <typename T>
void sort_unique(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

std::optional<std::vector<int>> read_sizes(const Sources& sources, const char* key) {
  const auto value = sources.of(key);
  if (!value) return {};
  std::vector<int> sizes;
  for (const Node& each : list(*value)) sizes.push_back(each.positive_int());
  sort_unique(sizes);
  return sizes;
}

ShardGroup read_shard_group(const Node& node) {
  if (!node.is_text()) return {.size = node.non_negative_int()};
  constexpr ShardGroup::Kind kKinds[] = {ShardGroup::Kind::fixed, ShardGroup::Kind::all, ShardGroup::Kind::node};
  return {.kind = kKinds[node.choice({"none", "all", "node"})]};
}

models::Zero read_zero(const Node& node) {
  const int stage = node.non_negative_int();
  if (stage > 3) node.fail("must be a ZeRO stage, 0 to 3");
  return static_cast<models::Zero>(stage);
}

template <typename Read>
auto read_list(const Sources& sources, const char* key, const Read& read) {
  std::vector<decltype(read(std::declval<const Node&>()))> values;
  if (const auto stated = sources.of(key))
    for (const Node& each : list(*stated)) values.push_back(read(each));
  return values;
}

Dimensions read_dimensions(const Sources& sources) {
  Dimensions dimensions{.tp = read_sizes(sources, "tp"),
                        .pp = read_sizes(sources, "pp"),
                        .vp = read_sizes(sources, "vp"),
                        .cp = read_sizes(sources, "cp"),
                        .ep = read_sizes(sources, "ep"),
                        .etp = read_sizes(sources, "etp"),
                        .mbs = read_sizes(sources, "mbs"),
                        .sp = read_list(sources, "sp", [](const Node& node) { return node.boolean(); }),
                        .fsdp = read_list(sources, "fsdp", read_shard_group),
                        .zero = read_list(sources, "zero", read_zero),
                        .schedule = read_list(sources, "schedule",
                                              [](const Node& node) {
                                                return static_cast<models::Schedule>(node.choice(
                                                    {"1f1b", "interleaved", "gpipe", "zb-1p", "zb-2p", "zb-v"}));
                                              }),
                        .cp_kind = read_list(sources, "cp_comm_type", [](const Node& node) {
                          return static_cast<models::CpKind>(node.choice({"p2p", "all_gather", "a2a"}));
                        })};
  if (dimensions.sp.empty()) dimensions.sp = {false, true};
  if (dimensions.fsdp.empty()) dimensions.fsdp = {{}, {.kind = ShardGroup::Kind::all}};
  using models::Zero;
  if (dimensions.zero.empty()) dimensions.zero = {Zero::ddp, Zero::optimizer, Zero::gradients, Zero::parameters};
  if (dimensions.schedule.empty()) dimensions.schedule = {models::Schedule::one_f_one_b, models::Schedule::interleaved};
  return dimensions;
}

/// A number, a list, or `{"min": 64, "max": 1024}`: doubled from the one to the other; with `step`, added.
std::vector<int> read_gpus(const Node& node) {
  std::vector<int> counts;
  if (!node.is_object()) {
    for (const Node& each : list(node)) counts.push_back(each.positive_int());
  } else {
    node.only({"min", "max", "step"});
    const int least = node.at("min").positive_int(), most = node.at("max").positive_int();
    if (most < least) node.at("max").fail("must be at least min (" + std::to_string(least) + ")");
    const auto step = node.find("step");
    const std::int64_t by = step ? step->positive_int() : 0;
    constexpr std::size_t kMostCounts = 1024;
    for (std::int64_t count = least; count <= most; count = step ? count + by : 2 * count) {
      if (counts.size() == kMostCounts) node.fail("must give at most 1024 numbers of GPUs");
      counts.push_back(static_cast<int>(count));
    }
  }
  sort_unique(counts);
  return counts;
}

std::map<std::string, double> read_price(const Node& node) {
  if (!node.is_object()) return {{"", node.positive()}};
  std::map<std::string, double> prices;
  for (const std::string& system : node.keys()) prices[system] = node.at(system).positive();
  return prices;
}

Goal read_goal(const Node& node) {
  node.only({"tokens", "days"});
  return {.tokens = node.at("tokens").positive(), .days = node.at("days").positive()};
}

/// Keys of `space` and `pin`.
void check_dimension_keys(const Node& object, bool gpus_too) {
  for (const std::string& key : object.keys()) {
    const bool derived = key == "dp" || key == "ga" || (key == "gpus" && !gpus_too);
    if (!derived && (is_layout_key(key) || is_setting_key(key))) continue;
    const auto value = object.find(key);
    (value ? *value : object).fail("is no dimension of a search (docs/search.md)");
  }
}

Objective read_objective(const Node& node) {
  return static_cast<Objective>(node.choice({"step_time", "tokens_per_s_per_gpu", "cost", "energy", "memory"}));
}

void read_goals(const Node& node, Query& query) {
  if (const auto goal = node.find("goal")) query.goal = read_goal(*goal);
  if (const auto price = node.find("price_per_gpu_hour")) query.price = read_price(*price);
  if (const auto fewest = node.find("fewest_gpus")) query.fewest_gpus = fewest->boolean();
  if (const auto objective = node.find("objective")) query.objective = read_objective(*objective);
  else if (query.goal) query.objective = query.price.empty() ? Objective::tokens_per_s_per_gpu : Objective::cost;
  if (query.objective == Objective::cost && query.price.empty()) node.at("objective").fail("needs price_per_gpu_hour");
}

void refuse_derived(const Node& node) {
  for (const char* key : {"dp", "ga"})
    if (const auto stated = node.find(key)) stated->fail("follows from the layout, and must not be stated in a query");
}

/// `stack`: layers lie where the framework puts them untold; `balanced`: where search::balance() puts them.
bool read_balanced(const Node& node, const Framework& framework) {
  const bool balanced = node.choice({"stack", "balanced"}) == 1;
  if (balanced && framework.stage_form.kind == StageForm::Kind::none)
    node.fail("must be stack, as framework " + framework.name + " cannot be told where layers lie");
  return balanced;
}

}  // namespace

const char* name(Objective objective) { return kObjectives[static_cast<int>(objective)]; }

Query parse_query(const Node& node, models::Library& library) {
  refuse_derived(node);
  if (const auto space = node.find("space")) check_dimension_keys(*space, false);
  if (const auto pin = node.find("pin")) check_dimension_keys(*pin, false);
  const auto framework = node.find("framework");
  Query query{.description = node,
              .settings = {},
              .gpus = read_gpus(node.at("gpus")),
              .dimensions = {},
              .forbidden = {},
              .framework = read_framework(framework ? framework->text() : "", library.data())};
  const bool has_experts = library.model(node.at("model")).family() == models::Family::moe;
  const Framework& known = query.framework;
  const Node usual = has_experts ? merged(known.space, known.moe_space) : known.space;
  const Sources sources(node, usual);
  query.dimensions = read_dimensions(sources);
  query.settings = settings_of(node, usual);
  if (const auto forbidden = node.find("forbid"))
    for (const Node& each : list(*forbidden)) query.forbidden.push_back(parse_condition(each));
  read_goals(node, query);
  const auto margin = node.find("memory_margin");
  query.memory_margin = margin ? margin->non_negative() : query.framework.memory_margin;
  if (query.memory_margin >= 1) margin->fail("must be a share of the GPU's memory below 1");
  const auto top = node.find("top"), rerank = node.find("rerank");
  query.top = top ? top->positive_int() : kTop;
  query.rerank = std::max(query.top, rerank ? rerank->non_negative_int() : kRerank);
  if (const auto stages = node.find("stages")) query.balance_stages = read_balanced(*stages, query.framework);
  return query;
}

}  // namespace search
