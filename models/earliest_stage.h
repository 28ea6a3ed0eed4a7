#pragma once

#include <cstddef>
#include <vector>

namespace models {

/// When each stage decides next, and which of them is first: found and changed in time that grows with the logarithm of
/// the stages. A tree of groups of eight, each with the soonest of its members.
class EarliestStage {
 public:
  /// All stages at `when`.
  EarliestStage(std::size_t stages, double when);

  double at(int stage) const { return levels_.front()[static_cast<std::size_t>(stage)]; }
  void set(int stage, double when);
  /// Of the stages that are first at the same moment the lowest, but for the first of eight, which lets others go
  /// before. One at least must be at a finite moment.
  int first() const;

 private:
  std::vector<std::vector<double>> levels_;  ///< stages, groups, groups of groups, up to a single group
};

}  // namespace models
