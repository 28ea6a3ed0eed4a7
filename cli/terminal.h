#pragma once

#include <cstddef>
#include <optional>

namespace cli {

/// Characters a line where stdout is not a terminal, or one that does not say.
inline constexpr std::size_t kProseWidth = 100;

/// Width of the terminal that stdout is: $COLUMNS if set, else what the terminal says. Nothing if it is none.
std::optional<std::size_t> terminal_width();

/// How wide to print.
struct PageWidth {
  std::size_t prose = kProseWidth;
  std::size_t table = 0;  ///< 0: as wide as needed, so that in a pipe each row stays one line
};

inline PageWidth page_width() {
  const auto width = terminal_width();
  return width ? PageWidth{*width, *width} : PageWidth{};
}

}  // namespace cli
