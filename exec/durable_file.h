#pragma once

#include <cstddef>
#include <string>

namespace exec {

/// A file that is there whole or not at all: written under another name, which commit() changes when all of it is on
/// disk. Every failure throws hw::InputError that names the file and what the system says (disk full, no such folder).
class DurableFile {
 public:
  explicit DurableFile(std::string path);
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;
  /// Removes what was not committed.
  ~DurableFile();

  void write(const void* data, std::size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::string path_, partial_;
  int file_ = -1;
};

/// Makes the folder and those above it. Throws hw::InputError.
void make_folder(const std::string& path);

}  // namespace exec
