#pragma once

#include <stdexcept>
#include <string>

namespace hw {

/// Wrong input. what() is one whole line: file, JSON pointer (or line), rule, what was found.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& line) : std::runtime_error(line) {}
};

}  // namespace hw
