#include "exec/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace exec {
namespace {

/// So that the new name outlives a power cut; not every file system can.
void flush_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const int file = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  fsync(file);
  close(file);
}

}  // namespace

DurableFile::DurableFile(std::string path) : path_(std::move(path)), partial_(path_ + ".partial") {
  file_ = open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail(errno);
}

DurableFile::~DurableFile() {
  if (file_ < 0) return;
  close(file_);
  unlink(partial_.c_str());
}

void DurableFile::fail(int error) const {
  throw hw::InputError(hw::printable(path_) + ": cannot be written: " + std::strerror(error));
}

void DurableFile::write(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(file_, from, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    from += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void DurableFile::commit() {
  if (fsync(file_) != 0) fail(errno);
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail(errno);
  close(std::exchange(file_, -1));
  flush_folder(path_);
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw hw::InputError(hw::printable(path) + ": cannot be made a folder: " + error.message());
}

}  // namespace exec
