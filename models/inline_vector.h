#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>

namespace models {

/// A vector of at most N elements held in place: an op's operands are few, and lowering must not touch the heap for
/// each of them.
template <typename T, int N>
class InlineVector {
 public:
  constexpr InlineVector() = default;
  constexpr InlineVector(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }
  constexpr void push_back(const T& value) {
    assert(size_ < N);
    values_[static_cast<std::size_t>(size_++)] = value;
  }
  constexpr void clear() { size_ = 0; }
  constexpr int size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr const T* begin() const { return values_.data(); }
  constexpr const T* end() const { return values_.data() + size_; }
  constexpr T* begin() { return values_.data(); }
  constexpr T* end() { return values_.data() + size_; }
  constexpr const T& operator[](int i) const { return values_[static_cast<std::size_t>(i)]; }
  constexpr T& operator[](int i) { return values_[static_cast<std::size_t>(i)]; }
  constexpr bool contains(const T& value) const {
    for (const T& mine : *this)
      if (mine == value) return true;
    return false;
  }

 private:
  std::array<T, N> values_{};
  std::int32_t size_ = 0;
};

}  // namespace models
