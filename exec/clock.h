#pragma once

#include "hw/units.h"

namespace exec {

/// A moment, as the thread that asks sees it.
struct Instant {
  hw::Seconds wall;  ///< since some fixed moment, the same for all threads
  hw::Seconds cpu;   ///< that this thread has computed for
};

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  /// Any thread may ask.
  virtual Instant now() = 0;
};

/// The machine's: monotonic wall time, and the CPU time of the calling thread, which leaves waiting out.
class RealClock final : public Clock {
 public:
  Instant now() override;
};

}  // namespace exec
