#include "models/model.h"

#include <algorithm>

namespace models {

Family Model::family() const {
  if (dit) return Family::dit;
  const bool any_moe = std::any_of(kinds.begin(), kinds.end(), [](const LayerSpec& k) { return k.moe.has_value(); });
  return any_moe ? Family::moe : Family::dense;
}

bool Model::hybrid() const {
  return std::any_of(kinds.begin(), kinds.end(), [](const LayerSpec& k) { return k.mamba.has_value(); });
}

}  // namespace models
