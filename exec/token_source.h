#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/run.h"

namespace exec {

/// Token sequences by number; sequence r of a run is r = step * gbs + place in the batch. Any rank asks for any.
class TokenSource {
 public:
  /// Synthetic tokens, three of four of which follow from the one before, so that there is something to learn.
  static TokenSource synthetic(std::int64_t vocabulary, std::uint64_t seed);
  /// A file of little-endian token ids, 2 bytes each up to 65,536 entries, else 4: sequence r begins at r times its
  /// length, and the file is read again from the start after its end. Throws hw::InputError: not there, shorter than a
  /// sequence, ids outside the vocabulary.
  static TokenSource file(const std::string& path, std::int64_t vocabulary, std::int64_t sequence);

  /// `count` tokens from the start of sequence r.
  std::vector<std::int64_t> tokens(std::int64_t r, std::int64_t count) const;

 private:
  std::int64_t vocabulary_ = 0;
  std::uint64_t seed_ = 0;
  std::int64_t sequence_ = 0;       ///< of a file: tokens from one sequence's start to the next's
  std::vector<std::uint32_t> all_;  ///< of a file
};

}  // namespace exec
