#include "exec/allocator.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <new>
#include <string>

namespace exec {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + Allocator::kAlignment - 1) / Allocator::kAlignment * Allocator::kAlignment;
}

}  // namespace

OutOfMemory::OutOfMemory(std::size_t its_needed, std::size_t its_available)
    : std::runtime_error("out of memory: needs " + std::to_string(its_needed) + " bytes, available are " +
                         std::to_string(its_available)),
      needed(its_needed),
      available(its_available) {}

Memory::~Memory() {
  if (data_ != nullptr) allocator_->give_back(data_, bytes_);
}

Allocator::~Allocator() {
  assert(live_ == 0);
  release_kept_locked();
}

Memory Allocator::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  const std::lock_guard lock(mutex_);
  if (limit_ && bytes > *limit_ - live_) throw OutOfMemory(bytes, *limit_ - live_);
  const std::size_t size = padded(bytes);
  std::byte* data = nullptr;
  if (const auto kept = kept_.find(size); kept != kept_.end() && !kept->second.empty()) {
    data = kept->second.back();
    kept->second.pop_back();
  } else {
    const auto get = [&] { return static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)); };
    data = get();
    if (data == nullptr) {
      release_kept_locked();
      data = get();
    }
    if (data == nullptr) throw std::bad_alloc();
  }
  live_ += bytes;
  peak_ = std::max(peak_, live_);
  return {this, data, bytes};
}

void Allocator::give_back(std::byte* data, std::size_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  live_ -= bytes;
  kept_[padded(bytes)].push_back(data);
}

std::size_t Allocator::live_bytes() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

std::size_t Allocator::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void Allocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = live_;
}

void Allocator::release_kept() {
  const std::lock_guard lock(mutex_);
  release_kept_locked();
}

void Allocator::release_kept_locked() noexcept {
  for (auto& [size, blocks] : kept_)
    for (std::byte* block : blocks) std::free(block);
  kept_.clear();
}

}  // namespace exec
