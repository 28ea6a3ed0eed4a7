#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace exec {

/// A golden's model (tests/exec/goldens) in a layout: keys of a run description that replace the golden's.
struct LayoutCase {
  std::string model, overrides;
};

inline std::ostream& operator<<(std::ostream& out, const LayoutCase& one) {
  return out << one.model << " " << one.overrides;
}

// All with a global batch of 8 sequences on up to 8 ranks.
std::vector<LayoutCase> dense();           ///< each dimension, schedule and recompute mode alone, and some together
std::vector<LayoutCase> experts();         ///< expert parallelism with everything else
std::vector<LayoutCase> hybrid();          ///< with Mamba layers
std::vector<LayoutCase> hybrid_experts();  ///< Mamba, experts and attention in turns
std::vector<LayoutCase> diffusion();       ///< a transformer whose layers read text and time beside their input
std::vector<LayoutCase> bf16();            ///< in that precision, with the optimizer's states in several formats
std::vector<LayoutCase> listed_layouts();  ///< all of these but those in bf16

constexpr int kMixes = 60;
LayoutCase mix(int index);  ///< drawn at random, three dimensions or more; the same every time

}  // namespace exec
