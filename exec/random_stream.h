#pragma once

#include <cstdint>
#include <string_view>

namespace exec {

/// Numbers that depend on a name, a seed and an index alone, so that any rank makes any part of them: initial weights
/// and synthetic data are the same in every layout. splitmix64 (Steele, Lea & Flood, OOPSLA 2014) from a start that is
/// the FNV-1a hash of the name.
class RandomStream {
 public:
  constexpr RandomStream(std::string_view name, std::uint64_t seed) : start_(kFnvOffset) {
    for (const char c : name) start_ = (start_ ^ static_cast<unsigned char>(c)) * kFnvPrime;
    start_ += seed * kSeedStep;
  }

  constexpr std::uint64_t bits(std::uint64_t index) const {
    std::uint64_t z = start_ + (index + 1) * kGamma;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, 1).
  constexpr double unit(std::uint64_t index) const { return static_cast<double>(bits(index) >> 11) * 0x1p-53; }
  /// Uniform in [-1, 1).
  constexpr double symmetric(std::uint64_t index) const { return 2 * unit(index) - 1; }

 private:
  static constexpr std::uint64_t kFnvOffset = 0xCBF29CE484222325ULL, kFnvPrime = 0x100000001B3ULL;
  static constexpr std::uint64_t kSeedStep = 0xD1B54A32D192ED03ULL, kGamma = 0x9E3779B97F4A7C15ULL;
  std::uint64_t start_;
};

}  // namespace exec
