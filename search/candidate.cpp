#include "search/candidate.h"

#include <algorithm>
#include <tuple>

namespace search {
namespace {

bool better(const Candidate& a, const Candidate& b) {
  return std::tie(a.score, a.group, a.place) < std::tie(b.score, b.group, b.place);
}

bool faster(const Candidate& a, const Candidate& b) {
  return std::tie(a.time, a.peak, a.group, a.place) < std::tie(b.time, b.peak, b.group, b.place);
}

}  // namespace

void Ranking::add(const Candidate& candidate) {
  if (size_ == 0 || (best_.size() == size_ && !better(candidate, best_.back()))) return;
  best_.insert(std::ranges::upper_bound(best_, candidate, better), candidate);
  if (best_.size() > size_) best_.pop_back();
}

void Ranking::add(const Ranking& other) {
  for (const Candidate& candidate : other.best()) add(candidate);
}

bool Front::excludes(hw::Seconds time, hw::Bytes peak) const {
  // Members fall in memory as they rise in time: the last one that is no slower is the smallest of those.
  const auto slower = std::ranges::upper_bound(members_, time, {}, &Candidate::time);
  if (slower == members_.begin()) return false;
  const Candidate& known = *(slower - 1);
  return known.peak < peak || (known.peak == peak && known.time < time);
}

void Front::add(const Candidate& candidate) {
  if (excludes(candidate.time, candidate.peak)) return;
  const auto equal = std::ranges::find_if(
      members_, [&](const Candidate& other) { return other.time == candidate.time && other.peak == candidate.peak; });
  if (equal != members_.end()) {
    if (faster(candidate, *equal)) *equal = candidate;
    return;
  }
  std::erase_if(members_,
                [&](const Candidate& other) { return other.time >= candidate.time && other.peak >= candidate.peak; });
  members_.insert(std::ranges::upper_bound(members_, candidate, faster), candidate);
}

void Front::add(const Front& other) {
  for (const Candidate& candidate : other.members()) add(candidate);
}

}  // namespace search
