#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

namespace cli {

/// While it lives, the first SIGINT or SIGTERM is only remembered, and a second one ends the process as ever. Made
/// before other threads start: they inherit that these signals are not delivered to them.
class StopSignals {
 public:
  /// `on_first` is called by a thread of its own. Signals that the process was started to ignore stay ignored.
  explicit StopSignals(std::function<void()> on_first);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  bool asked() const { return signal_ != 0; }
  /// `SIGINT`; empty if none came.
  std::string name() const;

 private:
  void watch(const std::stop_token& stop);

  std::function<void()> on_first_;
  sigset_t watched_{}, before_{};
  std::atomic<int> signal_ = 0;
  std::jthread thread_;
};

}  // namespace cli
