#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "hw/node.h"
#include "models/layout_rules.h"
#include "models/run.h"

namespace models {

struct RunDraft;

/// The keys of a run description that say how it is laid out, all of them stated.
struct LayoutKeys {
  int gpus = 1;
  int tp = 1, pp = 1, vp = 1, cp = 1, ep = 1, etp = 1;
  bool sp = false;
  int fsdp = 0;
  Zero zero = Zero::ddp;
  Schedule schedule = Schedule::one_f_one_b;
  int mbs = 1;
  std::optional<CpKind> cp_kind = {};  ///< absent: as the rest of the description says
  bool operator==(const LayoutKeys&) const = default;
};

/// A run description that leaves its layout open: read and checked once, laid out many times.
class OpenRun {
 public:
  /// Reads all keys but those of LayoutKeys, which count as not stated; `ga` and `dp` follow from the layout and are
  /// refused. Throws InputError. The library must outlive it.
  OpenRun(const hw::Node& node, Library& library);

  /// The run without a layout but gbs, seq_len, gpus_per_node and the kind of context parallelism.
  const Run& base() const;

  /// Lays out `run`, a copy of base() or one laid out before, as parse_run does with `keys` stated beside the rest;
  /// `assumed` stays that of base(). A refusal where parse_run would throw: then `run` has no valid layout.
  std::optional<Refusal> lay_out(const LayoutKeys& keys, Run& run) const;

 private:
  std::shared_ptr<const hw::Node> node_;
  std::shared_ptr<const RunDraft> draft_;
};

}  // namespace models
