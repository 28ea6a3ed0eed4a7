#pragma once

#include <cstdint>
#include <vector>

#include "exec/cpu/matrix.h"

namespace exec::cpu {

/// A matrix that lives as long as one op runs, at first 0.
template <typename T>
class Scratch {
 public:
  Scratch(std::int64_t rows, std::int64_t columns)
      : memory_(static_cast<std::size_t>(rows * columns)), rows_(rows), columns_(columns) {}
  Matrix<T> view() { return {memory_.data(), rows_, columns_, columns_}; }

 private:
  std::vector<T> memory_;
  std::int64_t rows_, columns_;
};

}  // namespace exec::cpu
