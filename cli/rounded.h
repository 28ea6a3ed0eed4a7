#pragma once

#include <cmath>
#include <cstdint>
#include <string>

namespace cli {

/// Numbers of a table that add up as printed: whole multiples of the last digit shown. Differences are those of the
/// rounded numbers, and what a line sums up is what the others leave over.
class Rounded {
 public:
  Rounded() = default;
  /// `value` to `decimals` digits.
  Rounded(double value, int decimals) : units_(std::llround(value * std::pow(10.0, decimals))), decimals_(decimals) {}

  bool is_zero() const { return units_ == 0; }
  Rounded operator-(const Rounded& other) const { return {units_ - other.units_, decimals_, 0}; }
  Rounded operator+(const Rounded& other) const { return {units_ + other.units_, decimals_, 0}; }
  /// `12.30`; with `sign` `+12.30`, and `0.00` without.
  std::string text(bool sign = false) const;

 private:
  Rounded(std::int64_t units, int decimals, int) : units_(units), decimals_(decimals) {}

  std::int64_t units_ = 0;
  int decimals_ = 0;
};

}  // namespace cli
