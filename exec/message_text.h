#pragma once

#include <cstddef>
#include <string>

namespace exec {

/// A message as its rank sees it, for errors.
struct MessageText {
  int rank = 0, peer = 0, tag = 0;
  std::size_t bytes = 0;
  bool sends = false;

  /// `rank 2 waits to receive 4096 bytes (tag 3) from rank 0`
  std::string describe() const {
    return "rank " + std::to_string(rank) + " waits to " + (sends ? "send " : "receive ") + std::to_string(bytes) +
           " bytes (tag " + std::to_string(tag) + ") " + (sends ? "to rank " : "from rank ") + std::to_string(peer);
  }
};

}  // namespace exec
