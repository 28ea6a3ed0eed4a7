#pragma once

#include <functional>

#include "exec/transport.h"

namespace exec {

/// Runs `body` once for each of `ranks` ranks, each on its own thread, and returns when all have ended. They share the
/// process, so that a sanitizer sees across ranks; a message is copied once, from the sender's memory to the
/// receiver's.
///
/// A rank whose body throws fails the job: every other rank's waits throw JobFailed, and the first rank's exception is
/// thrown here. A rank that waits for one that has returned gets a TransportError at once.
void run_thread_ranks(int ranks, const std::function<void(Transport&)>& body);

}  // namespace exec
