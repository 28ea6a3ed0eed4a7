#pragma once

#include <span>
#include <string>
#include <vector>

#include "hw/efficiency.h"
#include "hw/node.h"

/// Changes of a machine, as a user asks for them: `nic=x2`, `hbm=+50%`, `nvlink_domain=144`, `system=gb300`. They
/// change descriptions, and what is predicted follows from those. Grammar: docs/explain.md.
namespace hw {

struct WhatIf {
  std::string figure;  ///< `system`, `host`, `flops` (of every format), or a name of machine_figure.h
  double factor = 0;   ///< times what is stated; 0: `value` or `word` in its place
  double value = 0;    ///< in the figure's unit
  std::string word;    ///< of system and host
  std::string text;    ///< as written
};

/// Reads `FIGURE=CHANGE`. Throws InputError naming what was found and what is possible.
WhatIf parse_what_if(const std::string& text);

/// Likewise all of them; each figure once.
std::vector<WhatIf> parse_what_ifs(const std::vector<std::string>& texts);

/// The name in `system=NAME`; empty where none says so.
std::string system_of(std::span<const WhatIf> changes);

/// The description with its figures changed, one after another; the same where nothing changes it. Throws InputError
/// where it does not state a figure or the result is no machine (parse_cluster).
Node changed_machine(const Node& machine, std::span<const WhatIf> changes);

/// The profile's figures changed.
Efficiency changed_efficiency(Efficiency efficiency, std::span<const WhatIf> changes);

}  // namespace hw
