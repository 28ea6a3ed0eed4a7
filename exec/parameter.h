#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exec/rank_grid.h"
#include "models/step_program.h"

namespace exec {

/// One weight as this rank holds it, and where that lies in the whole weight.
struct Parameter {
  std::string name;  ///< full: `layer.3.qkv`
  const models::Weight* weight = nullptr;
  bool trained = true;
  bool another_stage_has_it = false;   ///< tied embeddings on two pipeline ranks
  std::int64_t rows = 0, columns = 0;  ///< of this rank's part
  std::int64_t whole_rows = 0, whole_columns = 0;
  std::vector<std::int64_t> row_of, column_of;  ///< in the whole weight, of each row and column of the part
  std::int64_t offset = 0;                      ///< in its group's buffer, elements

  std::int64_t elements() const { return rows * columns; }
};

/// The part of `tensor` that a rank holds, by `weight`'s rules. `name` is its full name.
Parameter parameter_of(const models::Tensor& tensor, const models::Weight& weight, std::string name,
                       const RankGrid& grid);

/// First value of element (row, column) of the part.
///   seed, standard_deviation  of the run; matrices are uniform with that deviation
double first_value(const Parameter& parameter, std::int64_t row, std::int64_t column, std::uint64_t seed,
                   double standard_deviation);

}  // namespace exec
