#include "cli/search_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/wording.h"

namespace cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::int64_t kBar = 20;  ///< characters

std::string best_text(const search::Found& found) {
  if (found.best.best().empty()) return "nothing fits so far";
  return "best " + time_text(found.best.best().front().time);
}

}  // namespace

SearchProgress::SearchProgress(bool quiet)
    : terminal_(!quiet && isatty(STDERR_FILENO) != 0), start_(Clock::now()), last_(start_ - kRedraw) {}

SearchProgress::~SearchProgress() {
  if (is_shown_) std::fputs("\r\x1b[K", stderr);
}

void SearchProgress::show(const search::Found& found) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || now - last_ < kRedraw || found.groups == 0) return;
  last_ = now;
  is_shown_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double done = static_cast<double>(found.groups_done) / static_cast<double>(found.groups);
  const auto filled = static_cast<std::size_t>(found.groups_done * kBar / found.groups);
  const std::string bar =
      "[" + std::string(filled, '#') + std::string(static_cast<std::size_t>(kBar) - filled, '.') + "]";
  std::fprintf(stderr, "\r\x1b[K%s %s", bar.c_str(),
               fmt::format("{} layouts, {}, {} left", grouped(static_cast<double>(found.counts.legal)),
                           best_text(found), time_text({seconds * (1 - done) / done}))
                   .c_str());
}

}  // namespace cli
