#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hw/node.h"

namespace hw {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  const std::string lower = lower_case(word);
  std::optional<std::string> best;
  std::size_t allowed = word.size() / 3;  // of the word's letters a third may differ; a match lowers it
  std::size_t best_prefix = 0;            // decides ties: slips are rarer at the start
  for (const std::string& candidate : known) {
    const auto [shorter, longer] = std::minmax({candidate.size(), word.size()});
    if (longer - shorter > allowed) continue;  // too far, and costly to compare
    const std::string other = lower_case(candidate);
    const std::size_t distance = edit_distance(lower, other);
    const std::size_t prefix = common_prefix(lower, other);
    if (distance > allowed || (best && distance == allowed && prefix <= best_prefix)) continue;
    best = candidate;
    allowed = distance;
    best_prefix = prefix;
  }
  return best;
}

}  // namespace hw
