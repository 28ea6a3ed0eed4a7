#include "exec/parameter.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "exec/random_stream.h"

namespace exec {
namespace {

/// Places in the whole dimension of what rank `index` of `size` has of `parts`.
std::vector<std::int64_t> cut(const models::InlineVector<models::WeightPart, 5>& parts, int index, int size) {
  std::vector<std::int64_t> places;
  std::int64_t first = 0;
  for (const models::WeightPart& part : parts) {
    const std::int64_t unit = part.length / part.units;
    // Fewer units than ranks: neighbours have the same one.
    const std::int64_t units = part.units >= size ? part.units / size : 1;
    const std::int64_t from = first + std::int64_t{index} * part.units / size * unit;
    for (std::int64_t i = 0; i < units * unit; ++i) places.push_back(from + i);
    first += part.length;
  }
  return places;
}

std::vector<std::int64_t> all(std::int64_t length) {
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < length; ++i) places.push_back(i);
  return places;
}

std::int64_t length_of(const models::InlineVector<models::WeightPart, 5>& parts) {
  std::int64_t length = 0;
  for (const models::WeightPart& part : parts) length += part.length;
  return length;
}

/// softplus(x) = y
double inverse_softplus(double y) { return y + std::log(-std::expm1(-y)); }

/// Rows A_log, D, dt_bias of Mamba-2 heads: A from 1 to the number of heads, steps between 0.01 and 0.1.
double scan_value(std::int64_t row, std::int64_t head, double unit) {
  if (row == 0) return std::log(1.0 + static_cast<double>(head));
  if (row == 1) return 1;
  return inverse_softplus(0.01 + 0.09 * unit);
}

}  // namespace

Parameter parameter_of(const models::Tensor& tensor, const models::Weight& weight, std::string name,
                       const RankGrid& grid) {
  const int experts_here = weight.experts > 0 ? weight.experts / grid.size(models::GroupKind::ep) : 1;
  const std::int64_t rows = tensor.rows / experts_here;
  Parameter p{.name = std::move(name),
              .weight = &weight,
              .trained = !tensor.frozen,
              .rows = tensor.rows,
              .columns = tensor.columns,
              .row_of = {},
              .column_of = {}};
  const auto over = weight.experts > 0 ? models::GroupKind::etp : models::GroupKind::tp;
  const std::vector<std::int64_t> part =
      weight.cut ? cut(weight.parts, grid.index(over), grid.size(over)) : std::vector<std::int64_t>{};
  const bool rows_cut = weight.cut && !weight.by_columns, columns_cut = weight.cut && weight.by_columns;
  const std::int64_t rows_of_one = rows_cut ? length_of(weight.parts) : rows;
  const std::vector<std::int64_t> one = rows_cut ? part : all(rows);
  const std::int64_t first = weight.experts > 0 ? grid.index(models::GroupKind::ep) * experts_here : 0;
  for (std::int64_t expert = first; expert < first + experts_here; ++expert)
    for (const std::int64_t row : one) p.row_of.push_back(expert * rows_of_one + row);
  p.column_of = columns_cut ? part : all(tensor.columns);
  p.whole_rows = rows_of_one * (weight.experts > 0 ? weight.experts : 1);
  p.whole_columns = columns_cut ? length_of(weight.parts) : tensor.columns;
  return p;
}

double first_value(const Parameter& parameter, std::int64_t row, std::int64_t column, std::uint64_t seed,
                   double standard_deviation) {
  const RandomStream stream(parameter.name, seed);
  const std::int64_t at_row = parameter.row_of[static_cast<std::size_t>(row)];
  const std::int64_t at_column = parameter.column_of[static_cast<std::size_t>(column)];
  const auto index = static_cast<std::uint64_t>(at_row * parameter.whole_columns + at_column);
  switch (parameter.weight->init) {
    case models::WeightInit::one: return 1;
    case models::WeightInit::zero: return 0;
    case models::WeightInit::norm_and_shift: return at_row == 0 ? 1 : 0;
    case models::WeightInit::scan: return scan_value(at_row, at_column, stream.unit(index));
    case models::WeightInit::conv:
      if (at_column == parameter.whole_columns - 1) return 0;  // the bias
      break;
    case models::WeightInit::matrix: break;
  }
  return standard_deviation * std::numbers::sqrt3 * stream.symmetric(index);
}

}  // namespace exec
