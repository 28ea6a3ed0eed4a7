#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "hw/units.h"
#include "models/open_run.h"

namespace search {

/// Smaller is better.
struct Score {
  double first = 0, second = 0;
  auto operator<=>(const Score&) const = default;
};

/// A layout that was looked at.
struct Candidate {
  int setting = 0;
  models::LayoutKeys keys;
  hw::Seconds time;
  hw::Bytes peak;
  Score score;
  std::int64_t group = 0, place = 0;  ///< where in the space: decides between equals
};

/// The best so many, in order. The same whatever the order in which they come.
class Ranking {
 public:
  explicit Ranking(std::size_t size) : size_(size) {}

  void add(const Candidate& candidate);
  void add(const Ranking& other);
  /// True where a layout of that score can be none of them.
  bool excludes(const Score& score) const { return best_.size() == size_ && score > best_.back().score; }
  const std::vector<Candidate>& best() const { return best_; }

 private:
  std::size_t size_;
  std::vector<Candidate> best_;
};

/// Layouts that no other is as fast and as small as.
class Front {
 public:
  void add(const Candidate& candidate);
  void add(const Front& other);
  /// Some layout of the front is at least as fast, and smaller or faster.
  bool excludes(hw::Seconds time, hw::Bytes peak) const;
  const std::vector<Candidate>& members() const { return members_; }  ///< fastest first

 private:
  std::vector<Candidate> members_;
};

}  // namespace search
