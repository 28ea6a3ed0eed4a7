#include "models/stage_layout_text.h"

#include <algorithm>
#include <cstddef>

namespace models {
namespace {

/// `letter` so many times.
std::string repeated(char letter, int times) {
  if (times <= 0) return "";
  return times == 1 ? std::string{letter} : std::string{letter} + "*" + std::to_string(times);
}

/// Equal stages from `first` on, the last stage left out: it ends without a `|`.
std::size_t equal_stages(const std::vector<std::string>& stages, std::size_t first) {
  std::size_t behind = first + 1;
  while (behind + 1 < stages.size() && stages[behind] == stages[first]) ++behind;
  return behind - first;
}

constexpr std::size_t kWorthGrouping = 3;  ///< equal stages that read better as a group

}  // namespace

std::string stage_text(const StageChunk& chunk, bool one_m_for_all) {
  std::string text = chunk.embedding ? "E" : "";
  text += repeated('t', chunk.layers);
  text += repeated('m', one_m_for_all ? std::min(chunk.mtp, 1) : chunk.mtp);
  return text + (chunk.loss ? "L" : "");
}

std::string stage_layout_text(const std::vector<StageChunk>& chunks) {
  const bool together = std::ranges::count_if(chunks, [](const StageChunk& chunk) { return chunk.mtp > 0; }) == 1;
  std::vector<std::string> stages;
  stages.reserve(chunks.size());
  for (const StageChunk& chunk : chunks) stages.push_back(stage_text(chunk, together));
  std::string text;
  for (std::size_t i = 0; i + 1 < stages.size();) {
    const std::size_t equal = equal_stages(stages, i);
    if (equal >= kWorthGrouping) {
      text += "(" + stages[i] + "|)*" + std::to_string(equal);
      i += equal;
    } else {
      text += stages[i++] + "|";
    }
  }
  return text + stages.back();
}

}  // namespace models
