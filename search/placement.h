#pragma once

#include <vector>

#include "models/layout.h"
#include "models/model.h"

/// Where the elements of a model lie: embedding, layers, multi-token prediction (all depths together), loss, in order.
namespace search {

/// How many elements each chunk holds, at least one.
using ChunkSizes = std::vector<int>;

/// Elements of a model.
int elements(const models::Model& model);

/// Sizes of chunks whose MTP depths lie together.
ChunkSizes sizes_of(const std::vector<models::StageChunk>& chunks, const models::Model& model);
std::vector<models::StageChunk> chunks_of(const ChunkSizes& sizes, const models::Model& model);

/// Ways to cut so many elements into so many chunks, at most `most`.
long placements(int elements, int chunks, long most);

/// The next one in lexicographic order; false after the last. The first has one element in all chunks but the last.
bool next_placement(ChunkSizes& sizes);
ChunkSizes first_placement(int elements, int chunks);

}  // namespace search
