#include "cli/stop_signals.h"

#include <atomic>
#include <chrono>
#include <utility>

namespace cli {
namespace {

/// The first signal: the one thing that a signal handler can reach.
std::atomic<int> first = 0;
static_assert(std::atomic<int>::is_always_lock_free);

void remember(int signal) {
  int none = 0;
  if (first.compare_exchange_strong(none, signal)) return;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void handle(int signal, struct sigaction& before) {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals(std::function<void()> on_first) : on_first_(std::move(on_first)) {
  first = 0;
  handle(SIGINT, interrupt_before_);
  handle(SIGTERM, terminate_before_);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

StopSignals::~StopSignals() {
  thread_.request_stop();
  thread_.join();
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
}

bool StopSignals::asked() const { return first != 0; }

std::string StopSignals::name() const {
  const int signal = first;
  return signal == 0 ? "" : signal == SIGINT ? "SIGINT" : "SIGTERM";
}

void StopSignals::watch(const std::stop_token& stop) const {
  constexpr auto kLook = std::chrono::milliseconds(50);
  while (!stop.stop_requested()) {
    if (asked()) return on_first_();
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace cli
