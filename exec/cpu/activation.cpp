#include "exec/cpu/activation.h"

#include <cassert>

#include "exec/cpu/vectorized.h"

namespace exec::cpu {

namespace {

using models::Activation;

template <typename T>
struct ValueAndSlope {
  T value, slope;
};

struct Silu {
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T x) {
    const T s = sigmoid(x);
    return {x * s, s + x * s * (T{1} - s)};
  }
};

/// (1 + tanh(u)) / 2 = sigmoid(2u), which keeps its relative accuracy where tanh nears -1.
struct Gelu {
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T x) {
    constexpr T kTwice = static_cast<T>(1.5957691216057308);  // 2 sqrt(2/pi)
    constexpr T kCubic = static_cast<T>(0.044715);
    const T s = sigmoid(kTwice * (x + kCubic * x * x * x));
    return {x * s, s + x * s * (T{1} - s) * kTwice * (T{1} + T{3} * kCubic * x * x)};
  }
};

struct Relu2 {
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T x) {
    const T positive = x > T{0} ? x : T{0};
    return {positive * positive, T{2} * positive};
  }
};

/// The gate of swiglu_clamped.
struct ClampedGate {
  static constexpr double kLimit = 7, kAlpha = 1.702;
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T gate) {
    constexpr T kMost = static_cast<T>(kLimit), kSteepness = static_cast<T>(kAlpha);
    const T x = gate > kMost ? kMost : gate;
    const T s = sigmoid(kSteepness * x);
    return {x * s, gate > kMost ? T{0} : s + kSteepness * x * s * (T{1} - s)};
  }
};

/// The other factor: the up-projection as it is, or clamped and plus one.
struct PlainUp {
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T x) {
    return {x, T{1}};
  }
};

struct ClampedUp {
  template <typename T>
  static EXEC_INLINE ValueAndSlope<T> at(T up) {
    constexpr T kMost = static_cast<T>(ClampedGate::kLimit);
    const T x = up > kMost ? kMost : (up < -kMost ? -kMost : up);
    return {x + T{1}, x == up ? T{1} : T{0}};
  }
};

template <typename F, typename T>
EXEC_VECTORIZED void forward(Matrix<const T> x, Matrix<T> y) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (std::int64_t j = 0; j < x.columns; ++j) to[j] = F::at(from[j]).value;
  }
}

template <typename F, typename T>
EXEC_VECTORIZED void backward(Matrix<const T> dy, Matrix<const T> x, Matrix<T> dx) {
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const T *from = x.row(i), *gradient = dy.row(i);
    T* to = dx.row(i);
    for (std::int64_t j = 0; j < x.columns; ++j) to[j] = gradient[j] * F::at(from[j]).slope;
  }
}

template <typename F, typename Up, typename T>
EXEC_VECTORIZED void gated(Matrix<const T> gate, Matrix<const T> up, Matrix<T> y) {
  for (std::int64_t i = 0; i < y.rows; ++i) {
    const T *g = gate.row(i), *u = up.row(i);
    T* to = y.row(i);
    for (std::int64_t j = 0; j < y.columns; ++j) to[j] = F::at(g[j]).value * Up::at(u[j]).value;
  }
}

template <typename F, typename Up, typename T>
EXEC_VECTORIZED void gated_backward(Matrix<const T> dy, Matrix<const T> gate, Matrix<const T> up, Matrix<T> dgate,
                                    Matrix<T> dup) {
  for (std::int64_t i = 0; i < dy.rows; ++i) {
    const T *g = gate.row(i), *u = up.row(i), *gradient = dy.row(i);
    T *dg = dgate.row(i), *du = dup.row(i);
    for (std::int64_t j = 0; j < dy.columns; ++j) {
      const ValueAndSlope<T> a = F::at(g[j]), b = Up::at(u[j]);
      dg[j] = gradient[j] * a.slope * b.value;
      du[j] = gradient[j] * a.value * b.slope;
    }
  }
}

}  // namespace

template <typename T>
void activate(Activation activation, ConstMatrix<T> x, Matrix<T> y) {
  assert(x.rows == y.rows && x.columns == y.columns);
  switch (activation) {
    case Activation::silu: return forward<Silu, T>(x, y);
    case Activation::gelu: return forward<Gelu, T>(x, y);
    case Activation::relu2: return forward<Relu2, T>(x, y);
    case Activation::swiglu_clamped: assert(!"gated only"); return;
  }
}

template <typename T>
void activate_backward(Activation activation, ConstMatrix<T> dy, ConstMatrix<T> x, Matrix<T> dx) {
  assert(x.rows == dy.rows && x.columns == dy.columns && x.columns == dx.columns);
  switch (activation) {
    case Activation::silu: return backward<Silu, T>(dy, x, dx);
    case Activation::gelu: return backward<Gelu, T>(dy, x, dx);
    case Activation::relu2: return backward<Relu2, T>(dy, x, dx);
    case Activation::swiglu_clamped: assert(!"gated only"); return;
  }
}

template <typename T>
void activate_gated(Activation activation, ConstMatrix<T> gate, ConstMatrix<T> up, Matrix<T> y) {
  assert(gate.columns == y.columns && up.columns == y.columns);
  switch (activation) {
    case Activation::silu: return gated<Silu, PlainUp, T>(gate, up, y);
    case Activation::gelu: return gated<Gelu, PlainUp, T>(gate, up, y);
    case Activation::relu2: return gated<Relu2, PlainUp, T>(gate, up, y);
    case Activation::swiglu_clamped: return gated<ClampedGate, ClampedUp, T>(gate, up, y);
  }
}

template <typename T>
void activate_gated_backward(Activation activation, ConstMatrix<T> dy, ConstMatrix<T> gate, ConstMatrix<T> up,
                             Matrix<T> dgate, Matrix<T> dup) {
  assert(gate.columns == dy.columns && up.columns == dy.columns);
  switch (activation) {
    case Activation::silu: return gated_backward<Silu, PlainUp, T>(dy, gate, up, dgate, dup);
    case Activation::gelu: return gated_backward<Gelu, PlainUp, T>(dy, gate, up, dgate, dup);
    case Activation::relu2: return gated_backward<Relu2, PlainUp, T>(dy, gate, up, dgate, dup);
    case Activation::swiglu_clamped: return gated_backward<ClampedGate, ClampedUp, T>(dy, gate, up, dgate, dup);
  }
}

#define EXEC_INSTANTIATE(T)                                                                                          \
  template void activate<T>(Activation, Matrix<const T>, Matrix<T>);                                                 \
  template void activate_backward<T>(Activation, Matrix<const T>, Matrix<const T>, Matrix<T>);                       \
  template void activate_gated<T>(Activation, Matrix<const T>, Matrix<const T>, Matrix<T>);                          \
  template void activate_gated_backward<T>(Activation, Matrix<const T>, Matrix<const T>, Matrix<const T>, Matrix<T>, \
                                           Matrix<T>);
EXEC_INSTANTIATE(float)
EXEC_INSTANTIATE(double)

}  // namespace exec::cpu
