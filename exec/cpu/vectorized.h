#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

/// EXEC_VECTORIZED before a function with hot loops: compiled for several instruction sets, chosen when the program
/// starts (ThreadSanitizer's own start comes after that choice). EXEC_INLINE before the small functions that such loops
/// call: they must become part of each of the versions.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define EXEC_VECTORIZED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EXEC_VECTORIZED
#endif
#define EXEC_INLINE inline __attribute__((always_inline))

namespace exec::cpu {

/// term(0) + ... + term(n-1) in 16 interleaved partial sums: vectors without reassociation, so the order of summation
/// depends on n alone, and the error of float grows with n/16.
template <typename T, typename Term>
EXEC_INLINE T lane_sum(std::int64_t n, Term term) {
  constexpr int kLanes = 16;
  std::array<T, kLanes> lanes{};
  const std::int64_t whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) lanes[static_cast<std::size_t>(lane)] += term(i + lane);
  for (std::int64_t i = whole; i < n; ++i) lanes[static_cast<std::size_t>(i - whole)] += term(i);
  T sum{};
  for (const T lane : lanes) sum += lane;
  return sum;
}

/// max(term(0), ..., term(n-1)), -infinity for n = 0.
template <typename T, typename Term>
EXEC_INLINE T lane_max(std::int64_t n, Term term) {
  constexpr int kLanes = 16;
  std::array<T, kLanes> lanes;
  lanes.fill(-static_cast<T>(HUGE_VAL));
  const std::int64_t whole = n - n % kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      T& best = lanes[static_cast<std::size_t>(lane)];
      const T value = term(i + lane);
      best = best < value ? value : best;
    }
  for (std::int64_t i = whole; i < n; ++i) {
    T& best = lanes[static_cast<std::size_t>(i - whole)];
    const T value = term(i);
    best = best < value ? value : best;
  }
  T most = lanes[0];
  for (const T lane : lanes) most = most < lane ? lane : most;
  return most;
}

EXEC_INLINE double exponential(double x) { return std::exp(x); }

/// e^x without a branch or a call, so that loops vectorise; relative error below 2e-7, 0 below -86.6 and infinity above
/// 88.7. e^x = 2^n e^r with n = round(x / ln 2) and the polynomial of Cephes' expf (Moshier, 1992) for e^r.
EXEC_INLINE float exponential(float x) {
  constexpr float kLeast = -86.6F, kMost = 88.72F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, which its low bits then hold
  const float inside = x < kLeast ? kLeast : (x > kMost ? kMost : x);
  const float shifted = inside * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (inside - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  // 2^(n-1) by its exponent bits; n-1, since n may be 128.
  std::uint32_t bits = 0;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 126U) << 23U;
  float power = 0;
  std::memcpy(&power, &bits, sizeof power);
  const float value = 2.0F * (p * power);
  return x < kLeast ? 0.0F : (x > kMost ? HUGE_VALF : value);
}

/// 1 / (1 + e^-x)
template <typename T>
EXEC_INLINE T sigmoid(T x) {
  return T{1} / (T{1} + exponential(-x));
}

}  // namespace exec::cpu
