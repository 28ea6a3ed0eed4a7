#pragma once

#include <string>
#include <vector>

#include "hw/cluster.h"
#include "hw/node.h"
#include "models/run.h"
#include "search/condition.h"
#include "search/stage_form.h"

namespace search {

/// What one framework can run, and how a search of its layouts begins: configs/frameworks/NAME.json (docs/search.md).
struct Framework {
  std::string name;
  double memory_margin = 0;  ///< of the GPU's memory, kept free because predictions of memory err
  hw::Bytes memory_reserve;  ///< kept free besides: what the stack's predictions leave out
  double near_miss = 0;      ///< of the GPU's memory: layouts that miss no more are worth showing
  StageForm stage_form;      ///< how it is told where layers lie
  std::vector<Rule> rules;
  hw::Node space;      ///< values of each dimension where a query names none
  hw::Node moe_space;  ///< of models with experts, before those of `space`
};

/// Of the run's framework; `generic` where that has no description. Throws hw::InputError.
Framework read_framework(const std::string& name, const models::DataDirectory& data);

/// Throws hw::InputError.
Framework parse_framework(const hw::Node& node);

/// What a layout may need of a GPU's memory, of which a share is the margin.
hw::Bytes room_of(double margin, hw::Bytes reserve, const hw::Cluster& cluster);

}  // namespace search
