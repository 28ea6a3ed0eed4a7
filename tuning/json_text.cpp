#include "tuning/json_text.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace tuning {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

std::size_t skip_spaces(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(kSpaces, at), text.size());
}

/// Behind the string that begins at `at`.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

/// Behind the value that begins at `at`.
std::size_t end_of_value(std::string_view text, std::size_t at) {
  if (text[at] == '"') return end_of_string(text, at);
  if (text[at] != '{' && text[at] != '[') return std::min(text.find_first_of(",}] \t\r\n", at), text.size());
  int depth = 0;
  while (true) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    if (text[at] == '{' || text[at] == '[') ++depth;
    if (text[at] == '}' || text[at] == ']') --depth;
    ++at;
    if (depth == 0) return at;
  }
}

/// Where a member of an object stands in the text.
struct Member {
  std::string key;
  std::size_t key_begin = 0, value_begin = 0, value_end = 0;
};

/// Of the object whose brace is at `open`.
std::vector<Member> members_of(std::string_view text, std::size_t open) {
  std::vector<Member> members;
  for (std::size_t at = skip_spaces(text, open + 1); text[at] != '}';) {
    Member member{.key = {}, .key_begin = at};
    const std::size_t key_end = end_of_string(text, at);
    member.key = text.substr(at + 1, key_end - at - 2);
    member.value_begin = skip_spaces(text, text.find(':', key_end) + 1);
    member.value_end = end_of_value(text, member.value_begin);
    at = skip_spaces(text, member.value_end);
    if (text[at] == ',') at = skip_spaces(text, at + 1);
    members.push_back(std::move(member));
  }
  return members;
}

void erase_member(std::string& text, std::size_t open, const std::vector<Member>& members, std::size_t index) {
  const std::size_t from = index > 0 ? members[index - 1].value_end : open + 1;
  const bool first_of_several = index == 0 && members.size() > 1;
  const std::size_t begin = first_of_several ? members[0].key_begin : from;
  const std::size_t end = first_of_several ? members[1].key_begin : members[index].value_end;
  text.erase(begin, end - begin);
}

void add_member(std::string& text, std::size_t open, const std::vector<Member>& members, const std::string& key,
                const std::string& value) {
  const std::string member = "\"" + key + "\": " + value;
  if (members.empty()) {
    text.insert(open + 1, member);
    return;
  }
  const std::size_t before = members.size() > 1 ? text.find(',', members[members.size() - 2].value_end) : open;
  const std::string space = text.substr(before + 1, members.back().key_begin - before - 1);
  text.insert(members.back().value_end, "," + (space.empty() ? " " : space) + member);
}

/// `value` below keys that have no object yet.
std::string nested(const std::vector<std::string>& keys, std::size_t from, const std::string& value) {
  if (from == keys.size()) return value;
  return "{\"" + keys[from] + "\": " + nested(keys, from + 1, value) + "}";
}

std::vector<std::string> keys_of(std::string_view pointer) {
  std::vector<std::string> keys;
  while (!pointer.empty()) {
    const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
    keys.emplace_back(pointer.substr(1, end - 1));
    pointer.remove_prefix(end);
  }
  return keys;
}

void apply(std::string& text, const JsonChange& change) {
  const std::vector<std::string> keys = keys_of(change.first);
  std::size_t open = skip_spaces(text, 0);
  for (std::size_t depth = 0;; ++depth) {
    const std::vector<Member> members = members_of(text, open);
    const auto member = std::ranges::find(members, keys[depth], &Member::key);
    const bool is_last = depth + 1 == keys.size();
    if (member == members.end()) {
      if (change.second) add_member(text, open, members, keys[depth], nested(keys, depth + 1, json(*change.second)));
      return;
    }
    if (is_last || text[member->value_begin] != '{') {
      if (!change.second) return erase_member(text, open, members, static_cast<std::size_t>(member - members.begin()));
      const std::string value = nested(keys, depth + 1, json(*change.second));
      text.replace(member->value_begin, member->value_end - member->value_begin, value);
      return;
    }
    open = member->value_begin;
  }
}

}  // namespace

std::string with_changes(std::string text, const std::vector<JsonChange>& changes) {
  for (const JsonChange& change : changes) apply(text, change);
  return text;
}

std::vector<JsonChange> changes_between(const recipes::Value& before, const recipes::Value& after) {
  std::vector<JsonChange> changes;
  for (const auto& [pointer, value] : leaves(before))
    if (find(after, pointer) == nullptr) changes.emplace_back(pointer, std::nullopt);
  for (const auto& [pointer, value] : leaves(after)) {
    const recipes::Value* was = find(before, pointer);
    if (was == nullptr || !(*was == value)) changes.emplace_back(pointer, value);
  }
  return changes;
}

}  // namespace tuning
