#include "cli/stop_signals.h"

#include <ctime>
#include <utility>

namespace cli {
namespace {

constexpr timespec kLook = {.tv_sec = 0, .tv_nsec = 50'000'000};  ///< how often the end is looked for

bool ignored(int signal) {
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

StopSignals::StopSignals(std::function<void()> on_first) : on_first_(std::move(on_first)) {
  sigemptyset(&watched_);
  for (const int signal : {SIGINT, SIGTERM})
    if (!ignored(signal)) sigaddset(&watched_, signal);
  pthread_sigmask(SIG_BLOCK, &watched_, &before_);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

StopSignals::~StopSignals() {
  thread_.request_stop();
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::string StopSignals::name() const {
  const int signal = signal_;
  return signal == 0 ? "" : signal == SIGINT ? "SIGINT" : "SIGTERM";
}

void StopSignals::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const int signal = sigtimedwait(&watched_, nullptr, &kLook);
    if (signal <= 0) continue;
    if (asked()) {
      std::signal(signal, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &watched_, nullptr);
      std::raise(signal);
    }
    signal_ = signal;
    if (on_first_) on_first_();
  }
}

}  // namespace cli
