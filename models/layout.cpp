#include "models/layout.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <string>

#include "hw/error_text.h"

namespace models {
namespace {

constexpr std::size_t kLongestLayout = 100'000;  // letters after expansion; repeats could grow without bound
constexpr int kDeepestGroup = 8;

[[noreturn]] void refuse(const std::string& rule) { throw std::invalid_argument(rule); }

/// Expands repeats: `Et*4|(t*4|)*14tmL` becomes one letter per element and a `|` per stage boundary.
class LayoutExpander {
 public:
  explicit LayoutExpander(std::string_view text) : text_(text) {}

  std::string expand() {
    std::string all = sequence(0);
    if (at_ < text_.size()) refuse("has a `)` without its `(`");
    return all;
  }

 private:
  std::string sequence(int depth) {
    std::string result;
    while (skip_blanks() && text_[at_] != ')') {
      const std::string item = element(depth);
      const std::size_t times = repeats();
      if (item.size() * times + result.size() > kLongestLayout) refuse("must not have more than 100000 elements");
      for (std::size_t i = 0; i < times; ++i) result += item;
    }
    return result;
  }

  std::string element(int depth) {
    const char letter = text_[at_++];
    if (letter != '(') {
      if (std::string_view("EtmL|").find(letter) == std::string_view::npos) {
        refuse("must consist of E, t, m, L, |, *n and groups in (), has `" + hw::printable({&letter, 1}, true) + "`");
      }
      return {letter};
    }
    if (depth == kDeepestGroup) refuse("must not nest groups deeper than 8");
    std::string group = sequence(depth + 1);
    if (at_ == text_.size()) refuse("has a `(` without its `)`");
    ++at_;
    if (group.empty()) refuse("must not have an empty group `()`");
    return group;
  }

  std::size_t repeats() {
    if (!skip_blanks() || text_[at_] != '*') return 1;
    ++at_;
    std::size_t times = 0;
    bool any = false;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0; ++at_, any = true) {
      times = std::min(10 * times + static_cast<std::size_t>(text_[at_] - '0'), kLongestLayout + 1);
    }
    if (!any || times == 0) refuse("must have a positive number after `*`");
    return times;
  }

  /// Blanks and commas only group for the eye. False at the end.
  bool skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == ',')) ++at_;
    return at_ < text_.size();
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct Counts {
  int layers = 0, mtp = 0;
  bool embedding = false, loss = false;
};

void add_element(char letter, Counts& counts, StageChunk& chunk) {
  if (counts.loss) refuse("must end with the loss (L)");
  switch (letter) {
    case 'E':
      if (counts.embedding || counts.layers > 0) refuse("must begin with the embedding (E), once");
      chunk.embedding = counts.embedding = true;
      break;
    case 't':
      if (!counts.embedding) refuse("must begin with the embedding (E), once");
      if (counts.mtp > 0) refuse("must have its layers (t) before its MTP modules (m)");
      if (chunk.layers == 0) chunk.first_layer = counts.layers;
      ++chunk.layers;
      ++counts.layers;
      break;
    case 'm':
      ++chunk.mtp;
      ++counts.mtp;
      break;
    default: chunk.loss = counts.loss = true;
  }
}

/// Turns the number of `m` letters into depths: one m stands for all depths, or there is an m for each.
void place_mtp(const Model& model, const Counts& counts, std::vector<StageChunk>& chunks) {
  const int depth = model.mtp.depth;
  if (depth > 0 && counts.mtp != 1 && counts.mtp != depth) {
    refuse("must have one m for all MTP depths or one for each of " + std::to_string(depth) + ", has " +
           std::to_string(counts.mtp));
  }
  for (StageChunk& chunk : chunks) {
    if (chunk.mtp == 0) continue;
    if (depth == 0) {
      chunk.mtp = 0;
    } else if (counts.mtp == 1) {
      chunk.mtp = depth;
    }
  }
}

void check_totals(const Model& model, int stages, const Counts& counts, std::size_t chunks) {
  if (!counts.embedding) refuse("must begin with the embedding (E), once");
  if (!counts.loss) refuse("must end with the loss (L)");
  if (counts.layers != static_cast<int>(model.layers.size())) {
    refuse("must place the model's " + std::to_string(model.layers.size()) + " layers, places " +
           std::to_string(counts.layers));
  }
  if (chunks != static_cast<std::size_t>(stages)) {
    refuse("must have pp*vp = " + std::to_string(stages) + " stages, has " + std::to_string(chunks));
  }
}

}  // namespace

std::vector<StageChunk> parse_stage_layout(std::string_view text, const Model& model, int stages) {
  const std::string elements = LayoutExpander(text).expand();
  std::vector<StageChunk> chunks(1);
  Counts counts;
  bool is_empty = true;
  for (const char letter : elements) {
    if (letter == '|') {
      if (is_empty) refuse("must not have an empty stage");
      chunks.push_back({.first_layer = counts.layers});
      is_empty = true;
    } else {
      add_element(letter, counts, chunks.back());
      is_empty = false;
    }
  }
  if (is_empty) refuse("must not have an empty stage");
  check_totals(model, stages, counts, chunks.size());
  place_mtp(model, counts, chunks);
  return chunks;
}

std::vector<StageChunk> split_stages(const Model& model, int stages, bool count_embedding, bool count_loss) {
  const int slots = static_cast<int>(model.layers.size()) + (count_embedding ? 1 : 0) + (count_loss ? 1 : 0);
  std::vector<StageChunk> chunks(static_cast<std::size_t>(stages));
  int next = 0;
  for (int stage = 0; stage < stages; ++stage) {
    StageChunk& chunk = chunks[static_cast<std::size_t>(stage)];
    chunk.embedding = stage == 0;
    chunk.loss = stage == stages - 1;
    chunk.mtp = chunk.loss ? model.mtp.depth : 0;
    chunk.first_layer = next;
    chunk.layers = slots / stages + (stage < slots % stages ? 1 : 0);
    if (count_embedding && chunk.embedding) --chunk.layers;
    if (count_loss && chunk.loss) --chunk.layers;
    next += chunk.layers;
  }
  return chunks;
}

std::vector<StageChunk> split_stages(const Model& model, int stages, bool count_ends) {
  return split_stages(model, stages, count_ends, count_ends);
}

}  // namespace models
