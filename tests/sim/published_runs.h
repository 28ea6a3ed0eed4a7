#pragma once

#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "hw/what_if.h"
#include "models/run.h"

namespace sim {

/// Every `stride`-th row of the published runs that is no refused one, as descriptions.
inline std::vector<hw::Node> published_rows(models::Library& library, int stride) {
  std::vector<hw::Node> rows;
  int count = 0;
  for (const char* name : {"megatron_bridge", "automodel", "dfm", "llm_foundry", "zero_bubble", "recompute_paper"}) {
    const auto file = library.data().path / "configs/runs/published" / (std::string(name) + ".jsonl");
    for (const auto& line : hw::Node::read_lines(file)) {
      if (line.node && count++ % stride == 0) rows.push_back(*line.node);
    }
  }
  return rows;
}

/// The profile `default` for the run's machine, changed.
inline hw::Efficiency default_efficiency(const models::Run& run, const models::Library& library,
                                         const std::vector<hw::WhatIf>& changes = {}) {
  static const hw::Node profile = hw::Node::read_file(library.data().path / "calibration/profiles/default.json");
  return hw::changed_efficiency(hw::parse_efficiency(profile, run.cluster), changes);
}

}  // namespace sim
