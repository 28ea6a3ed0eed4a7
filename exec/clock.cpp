#include "exec/clock.h"

#include <time.h>

namespace exec {
namespace {

hw::Seconds read(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return {static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)};
}

}  // namespace

Instant RealClock::now() { return {.wall = read(CLOCK_MONOTONIC), .cpu = read(CLOCK_THREAD_CPUTIME_ID)}; }

}  // namespace exec
