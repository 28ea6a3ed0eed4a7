#include "search/placement.h"

#include <algorithm>
#include <cstddef>

namespace search {
namespace {

bool has_mtp(const models::Model& model) { return model.mtp.depth > 0; }

}  // namespace

int elements(const models::Model& model) {
  return static_cast<int>(model.layers.size()) + 2 + static_cast<int>(has_mtp(model));
}

ChunkSizes sizes_of(const std::vector<models::StageChunk>& chunks, const models::Model& model) {
  ChunkSizes sizes;
  for (const models::StageChunk& chunk : chunks)
    sizes.push_back(chunk.layers + chunk.embedding + chunk.loss + (has_mtp(model) && chunk.mtp > 0));
  return sizes;
}

std::vector<models::StageChunk> chunks_of(const ChunkSizes& sizes, const models::Model& model) {
  const int layers = static_cast<int>(model.layers.size()), all = elements(model);
  std::vector<models::StageChunk> chunks;
  int first = 0;  // element
  for (const int size : sizes) {
    const int behind = first + size;
    const auto before = [&](int element) { return std::clamp(element - 1, 0, layers); };  // layers before it
    chunks.push_back({.embedding = first == 0,
                      .first_layer = before(first),
                      .layers = before(behind) - before(first),
                      .mtp = has_mtp(model) && first <= layers + 1 && layers + 1 < behind ? model.mtp.depth : 0,
                      .loss = behind == all});
    first = behind;
  }
  return chunks;
}

long placements(int elements, int chunks, long most) {
  long count = 1;  // elements - 1 over chunks - 1
  for (int i = 1; i < chunks; ++i) {
    count = count * (elements - i) / i;
    if (count > most) return most;
  }
  return count;
}

ChunkSizes first_placement(int elements, int chunks) {
  ChunkSizes sizes(static_cast<std::size_t>(chunks), 1);
  sizes.back() = elements - chunks + 1;
  return sizes;
}

bool next_placement(ChunkSizes& sizes) {
  // The last chunk that is no single element gives one to the chunk before it, and the rest to the last.
  std::size_t giver = sizes.size() - 1;
  while (giver > 0 && sizes[giver] == 1) --giver;
  if (giver == 0) return false;
  ++sizes[giver - 1];
  const int rest = sizes[giver] - 1;
  sizes[giver] = 1;
  sizes.back() = rest;
  return true;
}

}  // namespace search
