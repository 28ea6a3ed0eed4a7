#pragma once

#include <string>

namespace cli {

/// Exit status, the same for all verbs.
inline constexpr int kDone = 0;
inline constexpr int kNo = 1;  ///< the answer is no: it does not fit, the error is above what was allowed
inline constexpr int kBadInput = 2;

/// What a verb has to say. Printed at once when it is done, so that a refusal never follows half an answer.
struct Answer {
  int status = kDone;
  std::string out = {};          ///< for stdout
  std::string diagnostics = {};  ///< for stderr
};

}  // namespace cli
