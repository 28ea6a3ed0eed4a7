#pragma once

#include <chrono>

#include "search/explore.h"

namespace cli {

/// Says on stderr how a search goes on: a bar where that is a terminal; else, or with `quiet`, nothing.
class SearchProgress {
 public:
  explicit SearchProgress(bool quiet);
  ~SearchProgress();
  SearchProgress(const SearchProgress&) = delete;
  SearchProgress& operator=(const SearchProgress&) = delete;

  void show(const search::Found& found);

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_;
  bool is_shown_ = false;
  Clock::time_point start_, last_;
};

}  // namespace cli
