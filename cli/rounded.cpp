#include "cli/rounded.h"

#include <fmt/format.h>

#include <cstdlib>

namespace cli {

std::string Rounded::text(bool sign) const {
  const auto scale = static_cast<std::int64_t>(std::llround(std::pow(10.0, decimals_)));
  const std::int64_t size = std::abs(units_);
  const std::string mark = units_ < 0 ? "-" : sign && units_ > 0 ? "+" : "";
  if (decimals_ == 0) return fmt::format("{}{}", mark, size);
  return fmt::format("{}{}.{:0{}}", mark, size / scale, size % scale, decimals_);
}

}  // namespace cli
