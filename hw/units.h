#pragma once

#include <compare>

namespace hw {

/// A double tagged with its dimension, seconds^S * bytes^B * flops^F. Always base units inside.
template <int S, int B, int F>
struct Quantity {
  double value = 0;
  auto operator<=>(const Quantity&) const = default;
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return {a.value + b.value}; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return {a.value - b.value}; }
  friend constexpr Quantity operator*(double k, Quantity q) { return {k * q.value}; }
  friend constexpr Quantity operator*(Quantity q, double k) { return {k * q.value}; }
  friend constexpr Quantity operator/(Quantity q, double k) { return {q.value / k}; }
  constexpr Quantity& operator+=(Quantity other) {
    value += other.value;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value -= other.value;
    return *this;
  }
};

/// Dimensions subtract; the ratio of two like quantities is a plain number.
template <int S, int B, int F, int S2, int B2, int F2>
constexpr auto operator/(Quantity<S, B, F> a, Quantity<S2, B2, F2> b) {
  if constexpr (S == S2 && B == B2 && F == F2) {
    return a.value / b.value;
  } else {
    return Quantity<S - S2, B - B2, F - F2>{a.value / b.value};
  }
}

/// Dimensions add: a rate times a time is an amount.
template <int S, int B, int F, int S2, int B2, int F2>
constexpr auto operator*(Quantity<S, B, F> a, Quantity<S2, B2, F2> b) {
  return Quantity<S + S2, B + B2, F + F2>{a.value * b.value};
}

using Seconds = Quantity<1, 0, 0>;
using Bytes = Quantity<0, 1, 0>;
using Flops = Quantity<0, 0, 1>;
using BytesPerSecond = Quantity<-1, 1, 0>;
using FlopsPerSecond = Quantity<-1, 0, 1>;

static_assert(Bytes{4e9} / BytesPerSecond{2e9} == Seconds{2});

inline constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;  ///< bytes in a GiB; GB is 1e9

constexpr Seconds microseconds(double us) { return {us * 1e-6}; }
constexpr double to_gib(Bytes bytes) { return bytes.value / kGiB; }

}  // namespace hw
