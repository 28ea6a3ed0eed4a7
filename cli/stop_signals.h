#pragma once

#include <csignal>
#include <functional>
#include <string>
#include <thread>

namespace cli {

/// While it lives, the first SIGINT or SIGTERM is only remembered, and a second one ends the process as ever. One at a
/// time. (Blocking the signals and waiting for them would not do: libraries have threads of their own by then, which
/// do not block them.)
class StopSignals {
 public:
  /// `on_first` is called by a thread of its own. Signals that the process was started to ignore stay ignored.
  explicit StopSignals(std::function<void()> on_first);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  bool asked() const;
  /// `SIGINT`; empty if none came.
  std::string name() const;

 private:
  void watch(const std::stop_token& stop) const;

  std::function<void()> on_first_;
  struct sigaction interrupt_before_ {
  }, terminate_before_{};
  std::jthread thread_;
};

}  // namespace cli
