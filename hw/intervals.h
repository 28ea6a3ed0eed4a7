#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "hw/node.h"

namespace hw {

/// How far the measured step time lies from a prediction in 80 of 100 cases, by how far a run is from the runs that the
/// profile was fitted to. Half-widths are logarithms of factors on the step time.
struct Intervals {
  using Widths = std::array<double, 3>;                  ///< dense, mixture of experts, diffusion transformer
  Widths layout{}, model{}, system{}, framework{};       ///< what of a run was not seen before
  double assumed = 1;                                    ///< times the width where a description leaves something open
  std::vector<std::string> models, systems, frameworks;  ///< seen; a `system` that is not named here is unknown
};

/// What a run is like, seen from the data.
struct Acquaintance {
  int family = 0;  ///< index into Intervals::Widths
  std::string_view model, system, framework;
  bool assumed = false;
};

/// Throws InputError.
Intervals parse_intervals(const Node& node);

/// Half-width for one run. Kinds of being unknown add in quadrature, each beyond a new layout.
double half_width(const Intervals& intervals, const Acquaintance& run);

}  // namespace hw
