#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace exec {

/// FNV-1a of 64 bits: finds damage and mistakes, not forgery (Fowler, Noll & Vo, draft-eastlake-fnv).
class FnvHash {
 public:
  FnvHash& add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) value_ = (value_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001B3ULL;
    return *this;
  }
  FnvHash& add(std::string_view text) { return add(std::as_bytes(std::span(text))).add(text.size()); }
  template <std::integral T>
  FnvHash& add(T number) {
    const auto wide = static_cast<std::uint64_t>(number);
    return add(std::as_bytes(std::span(&wide, 1)));
  }
  FnvHash& add(double number) { return add(std::bit_cast<std::uint64_t>(number)); }

  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

}  // namespace exec
