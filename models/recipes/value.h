#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "hw/node.h"

namespace recipes {

/// A value that recipes and run descriptions both know. Objects keep the order of their keys; a number without a
/// fraction is an integer, however it is written.
struct Value {
  using List = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Object> data;

  Value() = default;
  Value(bool flag) : data(flag) {}                           // NOLINT: converts as JSON libraries do
  Value(int number) : data(std::int64_t{number}) {}          // NOLINT
  Value(std::int64_t number) : data(number) {}               // NOLINT
  Value(double number);                                      // NOLINT
  Value(const char* text) : data(std::string(text)) {}       // NOLINT
  Value(std::string_view text) : data(std::string(text)) {}  // NOLINT
  Value(std::string text) : data(std::move(text)) {}         // NOLINT
  Value(List list) : data(std::move(list)) {}                // NOLINT
  Value(Object object) : data(std::move(object)) {}          // NOLINT

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  bool is_null() const { return data.index() == 0; }
  bool operator==(const Value& other) const;
};

/// What stands at a JSON pointer of an object; nothing where it is absent or null.
const Value* find(const Value& object, std::string_view pointer);
/// Puts a value there and makes the objects that lead to it. Precondition: no step leads through another kind of value.
void set(Value& object, std::string_view pointer, Value value);
/// Removes it, and the objects that are left empty.
void erase(Value& object, std::string_view pointer);

/// All values below an object that are no objects themselves, with their pointers, in order. Nulls are left out.
std::vector<std::pair<std::string, Value>> leaves(const Value& object);

Value from_node(const hw::Node& node);
hw::Node to_node(const Value& value, const std::string& name);
/// On one line, as JSON.
std::string json(const Value& value);

}  // namespace recipes
