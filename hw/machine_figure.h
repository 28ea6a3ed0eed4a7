#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hw/efficiency.h"
#include "hw/node.h"
#include "hw/units.h"

namespace hw {

/// A number that a machine description states and that predictions depend on, under a short name (docs/explain.md).
struct MachineFigure {
  std::string_view name, unit;
  std::array<std::string_view, 3> path;  ///< keys of its fact, from the root; empty ones behind
  double in_unit = 1;                    ///< what the description states of one `unit`
};

/// All of them. Two may share a name where a description states one or the other (memory).
std::span<const MachineFigure> machine_figures();

/// JSON pointer of the figure's value in a description.
std::string pointer_of(const MachineFigure& figure);

/// What a description (checked by parse_cluster) states, in `unit`; nothing where it leaves the figure out.
std::optional<double> stated(const MachineFigure& figure, const Node& machine);

/// A time or factor of a profile that belongs to a machine's links or host and that a user may ask about.
struct ProfileFigure {
  std::string_view name, unit;
  double (*read)(const Efficiency&);          ///< in `unit`
  void (*scale)(Efficiency&, double factor);  ///< the figure and what goes with it
};
std::span<const ProfileFigure> profile_figures();

}  // namespace hw
