#include "exec/cpu/attention_tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "exec/cpu/gemm.h"
#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

/// The positions that a query sees: above `above`, up to `upto`.
struct Span {
  std::int32_t above, upto;
};

Span seen_from(const AttentionShape& shape, std::int32_t query) {
  return {.above = shape.window > 0 ? query - shape.window : std::numeric_limits<std::int32_t>::min(),
          .upto = shape.causal ? query : std::numeric_limits<std::int32_t>::max()};
}

template <typename T>
EXEC_VECTORIZED void hide_outside(std::int64_t keys, const std::int32_t* positions, std::int32_t above,
                                  std::int32_t upto, T* scores) {
  const T hidden = -static_cast<T>(HUGE_VAL);
  for (std::int64_t j = 0; j < keys; ++j) {
    const bool seen = (positions[j] > above) & (positions[j] <= upto);  // & has no branch
    scores[j] = seen ? scores[j] : hidden;
  }
}

}  // namespace

std::vector<AttentionTile> attention_tiles(const std::int32_t* positions, std::int64_t count, std::int64_t size) {
  std::vector<AttentionTile> tiles;
  for (std::int64_t first = 0; first < count; first += size) {
    AttentionTile tile{.first = first, .count = std::min(size, count - first), .positions = positions + first};
    const auto [least, most] = std::minmax_element(tile.positions, tile.positions + tile.count);
    tile.least = *least;
    tile.most = *most;
    tiles.push_back(tile);
  }
  return tiles;
}

Visible visible(const AttentionShape& shape, const AttentionTile& queries, const AttentionTile& keys) {
  const Span first = seen_from(shape, queries.least), last = seen_from(shape, queries.most);
  if (keys.least > last.upto || keys.most <= first.above) return Visible::none;
  return keys.most <= first.upto && keys.least > last.above ? Visible::all : Visible::some;
}

template <typename T>
void attention_scores(const AttentionShape& shape, const AttentionTile& queries, const AttentionTile& keys,
                      Matrix<const T> q, Matrix<const T> k, Matrix<T> scores) {
  gemm<T>(q, false, k, true, 0, scores, static_cast<T>(shape.scale));
  if (visible(shape, queries, keys) == Visible::all) return;
  for (std::int64_t i = 0; i < queries.count; ++i) {
    const Span span = seen_from(shape, queries.positions[i]);
    hide_outside<T>(keys.count, keys.positions, span.above, span.upto, scores.row(i));
  }
}

template void attention_scores<float>(const AttentionShape&, const AttentionTile&, const AttentionTile&,
                                      Matrix<const float>, Matrix<const float>, Matrix<float>);
template void attention_scores<double>(const AttentionShape&, const AttentionTile&, const AttentionTile&,
                                       Matrix<const double>, Matrix<const double>, Matrix<double>);

}  // namespace exec::cpu
