#include "cli/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

[[noreturn]] void fail(const std::string& path, int error) {
  throw hw::InputError(hw::printable(path) + ": cannot be written: " + std::strerror(error));
}

/// 0, or the errno of what went wrong.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

void write_file(const std::string& path, std::string_view text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, errno);
  int error = write_all(file, text);
  if (close(file) != 0 && error == 0) error = errno;
  if (error != 0) fail(path, error);
}

void write_stdout(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error != 0 && error != EPIPE) fail("stdout", error);
}

void place_json(const std::string& target, std::string json, std::string& out) {
  if (target == "-") {
    out = std::move(json);
  } else if (!target.empty()) {
    write_file(target, json);
  }
}

}  // namespace cli
