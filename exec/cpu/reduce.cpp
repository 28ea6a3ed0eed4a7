#include "exec/cpu/reduce.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "exec/bfloat16.h"

namespace exec {
namespace {

/// Elements that a loop of constant length takes: the compiler turns it into vector instructions at -O2 too.
constexpr std::size_t kBlock = 64;

/// What elements of T are added in. Integers wrap around, so they are added without sign.
template <class T>
struct Accumulator {
  using Type = T;
};
template <>
struct Accumulator<BFloat16> {
  using Type = float;
};
template <class T>
using AccumulatorOf = typename Accumulator<T>::Type;

template <class T>
AccumulatorOf<T> widen(T value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return to_float(value);
  } else {
    return value;
  }
}

template <class T>
T narrow(AccumulatorOf<T> value) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

template <Reduction R, class A>
A combine(A a, A b) {
  if constexpr (R == Reduction::max) {
    return a > b || a != a ? a : b;
  } else if constexpr (std::is_integral_v<A>) {
    using Unsigned = std::make_unsigned_t<A>;
    return static_cast<A>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

/// Each block is read whole before it is written, so out may be a source.
template <class T, Reduction R, bool kWhole>
void reduce_block(T* out, std::span<const void* const> sources, std::size_t at, std::size_t left) {
  const std::size_t count = kWhole ? kBlock : left;
  AccumulatorOf<T> sum[kBlock];
  const T* first = static_cast<const T*>(sources[0]) + at;
  for (std::size_t i = 0; i < count; ++i) sum[i] = widen(first[i]);
  for (std::size_t s = 1; s < sources.size(); ++s) {
    const T* source = static_cast<const T*>(sources[s]) + at;
    for (std::size_t i = 0; i < count; ++i) sum[i] = combine<R>(sum[i], widen(source[i]));
  }
  for (std::size_t i = 0; i < count; ++i) out[at + i] = narrow<T>(sum[i]);
}

template <class T, Reduction R>
void reduce_all(void* out, std::span<const void* const> sources, std::size_t count) {
  std::size_t at = 0;
  for (; at + kBlock <= count; at += kBlock) reduce_block<T, R, true>(static_cast<T*>(out), sources, at, kBlock);
  reduce_block<T, R, false>(static_cast<T*>(out), sources, at, count - at);
}

template <class T>
void reduce_type(Reduction reduction, void* out, std::span<const void* const> sources, std::size_t count) {
  if (reduction == Reduction::sum) {
    reduce_all<T, Reduction::sum>(out, sources, count);
  } else {
    reduce_all<T, Reduction::max>(out, sources, count);
  }
}

[[noreturn]] void refuse(hw::DType dtype) {
  throw std::invalid_argument("collectives carry fp64, fp32, bf16, int32 and int64, not " +
                              std::string(hw::name(dtype)));
}

void reduce_any(const Reducer& how, void* out, std::span<const void* const> sources, std::size_t count) {
  switch (how.dtype) {
    case hw::DType::fp64: reduce_type<double>(how.reduction, out, sources, count); break;
    case hw::DType::fp32: reduce_type<float>(how.reduction, out, sources, count); break;
    case hw::DType::bf16: reduce_type<BFloat16>(how.reduction, out, sources, count); break;
    case hw::DType::int32: reduce_type<std::int32_t>(how.reduction, out, sources, count); break;
    case hw::DType::int64: reduce_type<std::int64_t>(how.reduction, out, sources, count); break;
    default: refuse(how.dtype);
  }
}

// The same loops for wider vectors. Each element is added alone, so all give the same bits.
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"), flatten)) void reduce_avx2(const Reducer& how, void* out,
                                                          std::span<const void* const> sources, std::size_t count) {
  reduce_any(how, out, sources, count);
}
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"), flatten)) void reduce_avx512(
    const Reducer& how, void* out, std::span<const void* const> sources, std::size_t count) {
  reduce_any(how, out, sources, count);
}
#endif

}  // namespace

std::size_t element_bytes(hw::DType dtype) {
  switch (dtype) {
    case hw::DType::fp64:
    case hw::DType::int64: return 8;
    case hw::DType::fp32:
    case hw::DType::int32: return 4;
    case hw::DType::bf16: return 2;
    default: refuse(dtype);
  }
}

void Reducer::pair(void* out, const void* a, const void* b, std::size_t count) const {
  const void* const sources[] = {a, b};
  ordered(out, sources, count);
}

void Reducer::ordered(void* out, std::span<const void* const> sources, std::size_t count) const {
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return reduce_avx512(*this, out, sources, count);
  if (__builtin_cpu_supports("avx2")) return reduce_avx2(*this, out, sources, count);
#endif
  reduce_any(*this, out, sources, count);
}

}  // namespace exec
