#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/open_run.h"
#include "models/run.h"
#include "search/query.h"

namespace search {

/// Layouts that share blocks: all that blocks depend on is the same.
struct Group {
  int setting = 0;
  models::LayoutKeys keys;  ///< gpus, tp, cp, sp, ep, etp, mbs count; the rest is open
  bool splits_backward = false;
};

/// The layouts of a query: legal by the rules of run descriptions, allowed by the framework, not forbidden.
class Space {
 public:
  /// Throws hw::InputError where a setting is refused. References are kept.
  Space(const Query& query, models::Library& library);

  const std::vector<Group>& groups() const { return groups_; }
  const models::OpenRun& setting(int index) const { return settings_[static_cast<std::size_t>(index)]; }
  int settings() const { return static_cast<int>(settings_.size()); }

  /// Calls `visit` with every layout of a group, laid out in `run`, which must be of the group's setting. Layouts that
  /// differ in sharding alone come one after the other.
  using Visit = std::function<void(const models::LayoutKeys&, const models::Run&)>;
  void each(const Group& group, models::Run& run, const Visit& visit) const;

 private:
  struct Sharding {
    int fsdp = 0;
    models::Zero zero = models::Zero::ddp;
  };
  std::vector<Sharding> shardings_of(const models::LayoutKeys& keys, bool has_experts, int per_node) const;
  bool is_wanted(const models::Run& run) const;
  void add_groups(int setting, int gpus);
  void add_kinds(Group group);
  void add_groups_of(Group group);

  const Query& query_;
  std::vector<models::OpenRun> settings_;
  std::vector<Group> groups_;
};

}  // namespace search
