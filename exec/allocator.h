#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace exec {

/// An allocation beyond the limit.
struct OutOfMemory : std::runtime_error {
  OutOfMemory(std::size_t its_needed, std::size_t its_available);

  std::size_t needed = 0, available = 0;  ///< bytes
};

class Allocator;

/// Memory of an Allocator, given back on destruction. Contents start unspecified.
class Memory {
 public:
  Memory() = default;
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    Memory(std::move(other)).swap(*this);
    return *this;
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  friend class Allocator;
  Memory(Allocator* allocator, std::byte* data, std::size_t bytes)
      : allocator_(allocator), data_(data), bytes_(bytes) {}
  void swap(Memory& other) noexcept {
    std::swap(allocator_, other.allocator_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  Allocator* allocator_ = nullptr;
  std::byte* data_ = nullptr;  ///< null for no bytes
  std::size_t bytes_ = 0;
};

/// The memory of one device. Counts bytes exactly as they are asked for: neither the padding to whole cache lines, nor
/// memory that was given back and is kept for the next allocation of its padded size. Any thread may call.
class Allocator {
 public:
  static constexpr std::size_t kAlignment = 64;  ///< of every allocation: a cache line, the widest vector

  /// Without a limit, as much as the machine has.
  explicit Allocator(std::optional<std::size_t> limit = std::nullopt) : limit_(limit) {}
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  /// All memory must have been given back.
  ~Allocator();

  /// Throws OutOfMemory where more than the limit would be live, std::bad_alloc where the machine has no more.
  Memory allocate(std::size_t bytes);

  std::size_t live_bytes() const;
  std::size_t peak_bytes() const;  ///< largest live_bytes() since the start or the last reset_peak()
  void reset_peak();               ///< to what is live now

  /// Gives kept memory back to the machine.
  void release_kept();

 private:
  friend class Memory;
  void give_back(std::byte* data, std::size_t bytes) noexcept;
  void release_kept_locked() noexcept;

  mutable std::mutex mutex_;
  std::optional<std::size_t> limit_;
  std::size_t live_ = 0, peak_ = 0;
  std::map<std::size_t, std::vector<std::byte*>> kept_;  ///< by padded size
};

}  // namespace exec
