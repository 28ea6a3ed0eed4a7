#include "models/recipes/value.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "hw/error_text.h"

namespace recipes {
namespace {

using Json = nlohmann::ordered_json;

/// The first step of a pointer (`/a/b` gives `a`) and what is left (`/b`). No key of a run holds `/` or `~`.
std::pair<std::string_view, std::string_view> split(std::string_view pointer) {
  const std::size_t end = pointer.find('/', 1);
  if (end == std::string_view::npos) return {pointer.substr(1), {}};
  return {pointer.substr(1, end - 1), pointer.substr(end)};
}

Value* member(Value& object, std::string_view key) {
  auto* members = std::get_if<Value::Object>(&object.data);
  if (members == nullptr) return nullptr;
  const auto found = std::find_if(members->begin(), members->end(), [key](const auto& m) { return m.first == key; });
  return found == members->end() ? nullptr : &found->second;
}

void add_leaves(const Value& value, const std::string& pointer, std::vector<std::pair<std::string, Value>>& out) {
  if (value.is_null()) return;
  const auto* members = value.as<Value::Object>();
  if (members == nullptr) {
    out.emplace_back(pointer, value);
    return;
  }
  for (const auto& [key, inner] : *members) add_leaves(inner, pointer + hw::pointer_step(key), out);
}

Json to_json(const Value& value) {
  if (const auto* flag = value.as<bool>()) return *flag;
  if (const auto* integer = value.as<std::int64_t>()) return *integer;
  if (const auto* number = value.as<double>()) return *number;
  if (const auto* text = value.as<std::string>()) return *text;
  if (const auto* list = value.as<Value::List>()) {
    Json array = Json::array();
    for (const Value& element : *list) array.push_back(to_json(element));
    return array;
  }
  if (const auto* members = value.as<Value::Object>()) {
    Json object = Json::object();
    for (const auto& [key, inner] : *members) object[key] = to_json(inner);
    return object;
  }
  return nullptr;
}

}  // namespace

Value::Value(double number) : data(number) {
  constexpr double kExact = 0x1p53;  // larger ones are no counts
  if (std::trunc(number) == number && std::abs(number) <= kExact) data = static_cast<std::int64_t>(number);
}

bool Value::operator==(const Value& other) const {
  const auto* members = as<Object>();
  const auto* others = other.as<Object>();
  if (members == nullptr || others == nullptr) return data == other.data;
  return members->size() == others->size() && std::all_of(members->begin(), members->end(), [&](const auto& m) {
           return std::any_of(others->begin(), others->end(),
                              [&](const auto& o) { return o.first == m.first && o.second == m.second; });
         });
}

const Value* find(const Value& object, std::string_view pointer) {
  if (pointer.empty()) return object.is_null() ? nullptr : &object;
  const auto [key, rest] = split(pointer);
  const Value* inner = member(const_cast<Value&>(object), key);
  return inner == nullptr ? nullptr : find(*inner, rest);
}

void set(Value& object, std::string_view pointer, Value value) {
  if (pointer.empty()) {
    object = std::move(value);
    return;
  }
  if (object.is_null()) object.data = Value::Object{};
  const auto [key, rest] = split(pointer);
  Value* inner = member(object, key);
  if (inner == nullptr) {
    auto& members = std::get<Value::Object>(object.data);
    inner = &members.emplace_back(std::string(key), Value()).second;
  }
  set(*inner, rest, std::move(value));
}

void erase(Value& object, std::string_view pointer) {
  const auto [key, rest] = split(pointer);
  Value* inner = member(object, key);
  if (inner == nullptr) return;
  if (!rest.empty()) erase(*inner, rest);
  const auto* left = inner->as<Value::Object>();
  if (!rest.empty() && (left == nullptr || !left->empty())) return;
  std::erase_if(std::get<Value::Object>(object.data), [name = key](const auto& m) { return m.first == name; });
}

std::vector<std::pair<std::string, Value>> leaves(const Value& object) {
  std::vector<std::pair<std::string, Value>> out;
  add_leaves(object, "", out);
  return out;
}

Value from_node(const hw::Node& node) {
  if (node.is_boolean()) return node.boolean();
  if (node.is_number()) return node.number();
  if (node.is_text()) return Value(Json::parse(node.dump()).get<std::string>());  // text() refuses an empty one
  if (node.is_array()) {
    Value::List list;
    for (const hw::Node& element : node.elements()) list.push_back(from_node(element));
    return list;
  }
  if (!node.is_object()) return {};
  Value::Object members;
  for (const std::string& key : node.keys()) {
    if (const auto inner = node.find(key)) members.emplace_back(key, from_node(*inner));
  }
  return members;
}

std::string json(const Value& value) { return to_json(value).dump(-1, ' ', false, Json::error_handler_t::replace); }

hw::Node to_node(const Value& value, const std::string& name) { return hw::Node::parse(json(value), name); }

}  // namespace recipes
