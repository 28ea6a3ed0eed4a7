#include "cli/train_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "cli/train.h"
#include "cli/wording.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

constexpr std::int64_t kLines = 50;  ///< at most about so many without a terminal
constexpr std::size_t kRecent = 51;  ///< steps whose median time is shown
constexpr std::int64_t kBar = 20;    ///< characters

hw::Seconds median(std::vector<double> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return {*middle};
}

std::string bar_of(std::int64_t step, std::int64_t steps) {
  const auto done = static_cast<std::size_t>(step * kBar / std::max<std::int64_t>(1, steps));
  return "[" + std::string(done, '#') + std::string(static_cast<std::size_t>(kBar) - done, '.') + "] ";
}

/// A JSON number; null for what is none.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

}  // namespace

TrainProgress::TrainProgress(const models::Run& run, std::int64_t steps, bool quiet)
    : run_(run), steps_(steps), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

void TrainProgress::step(const exec::TrainedStep& step) {
  if (quiet_) return;
  if (recent_.size() == kRecent) recent_.erase(recent_.begin());
  recent_.push_back(step.time.value);
  const std::int64_t every = std::max<std::int64_t>(1, steps_ / kLines);
  if (!terminal_ && step.step % every != 0 && step.step != steps_) return;
  const hw::Seconds time = median(recent_);
  std::string text =
      fmt::format("step {}/{}  loss {:.4f}  gradient norm {:.3g}  {}  {} tokens/s", step.step, steps_, step.loss,
                  step.gradient_norm, time_text(time), grouped(tokens_of_step(run_) / time.value));
  if (const auto mfu = trained_mfu(run_, time)) text += "  MFU " + percent_text(*mfu);
  if (terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s%s", bar_of(step.step, steps_).c_str(), text.c_str());
    bar_is_shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void TrainProgress::note(const std::string& text) {
  if (quiet_) return;
  std::fprintf(stderr, "%s%s\n", std::exchange(bar_is_shown_, false) ? "\n" : "", text.c_str());
}

void TrainProgress::finish() {
  if (std::exchange(bar_is_shown_, false)) std::fputs("\n", stderr);
}

TrainLog::TrainLog(std::string path, bool continues) : path_(std::move(path)) {
  if (path_.empty()) return;
  file_ = std::fopen(path_.c_str(), continues ? "ae" : "we");
  if (file_ == nullptr) throw hw::InputError(hw::printable(path_) + ": cannot be written: " + std::strerror(errno));
}

TrainLog::~TrainLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void TrainLog::step(const models::Run& run, const exec::TrainedStep& step) {
  if (file_ == nullptr) return;
  const std::string line =
      fmt::format(R"({{"step": {}, "loss": {}, "gradient_norm": {}, "lr": {}, "step_time_s": {}, "tokens_per_s": {}}})",
                  step.step, number(step.loss), number(step.gradient_norm), number(step.learning_rate),
                  number(step.time.value), number(tokens_of_step(run) / step.time.value));
  if (std::fprintf(file_, "%s\n", line.c_str()) < 0 || std::fflush(file_) != 0)
    throw hw::InputError(hw::printable(path_) + ": cannot be written: " + std::strerror(errno));
}

}  // namespace cli
