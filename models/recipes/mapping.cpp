#include "models/recipes/mapping.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "hw/node.h"

namespace recipes {
namespace {

constexpr Row kAnnotations[] = {
    {"@id", "/id", Kind::text},
    {"@model", "/model", Kind::text},
    {"@system", "/system", Kind::text},
    {"@gpus", "/gpus", Kind::count},
    {"@gpus_per_node", "/gpus_per_node", Kind::count},
    {"@framework", "/framework", Kind::text},
    {"@release", "/release", Kind::text},
    {"@task", "/task", Kind::text},
    {"@precision", "/precision", Kind::text},
    {"@seq_len", "/seq_len", Kind::count},
    {"@vp", "/vp", Kind::count},
};

bool is_integer_from(const Value& value, std::int64_t least) {
  const auto* number = value.as<std::int64_t>();
  return number != nullptr && *number >= least && *number <= std::numeric_limits<std::int32_t>::max();
}

/// A text, or a number that was meant as one (`release = 26.06`): as it is written.
std::optional<std::string> text_of(const Entry& entry) {
  if (const auto* text = entry.value.as<std::string>()) return text->empty() ? std::nullopt : std::optional(*text);
  const bool is_number = entry.value.as<std::int64_t>() != nullptr || entry.value.as<double>() != nullptr;
  return is_number ? std::optional(entry.shown) : std::nullopt;
}

std::string listed(std::span<const Word> words) {
  std::string result;
  for (const Word& word : words)
    result += (result.empty() ? "" : ", ") + std::string(word.recipe.empty() ? "null" : word.recipe);
  return result;
}

Value word_to_run(const Row& row, const Document& document, const Entry& entry) {
  const std::optional<std::string> text = text_of(entry);
  const auto* flag = entry.value.as<bool>();
  std::string given = text.value_or(flag == nullptr ? "" : *flag ? "true" : "false");
  if (given.ends_with("()")) given.resize(given.size() - 2);  // a function of that name, called in Python
  for (const Word& word : row.words) {
    if (word.recipe == given && (entry.value.is_null() || !given.empty())) return Value(word.run);
  }
  if (row.kind == Kind::open_words && text) return Value(*text);
  std::vector<std::string> known;
  for (const Word& word : row.words) known.emplace_back(word.recipe);
  const auto meant = hw::nearest(given, known);
  document.refuse(entry, "must be one of " + listed(row.words) + (meant ? " (did you mean " + *meant + "?)" : ""));
}

Value list_to_run(const Row& row, const Document& document, const Entry& entry) {
  const auto* list = entry.value.as<Value::List>();
  const Value::List own = list != nullptr ? *list : Value::List{entry.value};
  const bool as_text = row.kind == Kind::texts;
  for (const Value& element : own) {
    const bool is_fit = as_text ? element.as<std::string>() != nullptr : is_integer_from(element, 0);
    if (!is_fit)
      document.refuse(entry, as_text ? "must be a list of words" : "must be a list of non-negative integers");
  }
  return own;
}

}  // namespace

std::span<const Row> annotations() { return kAnnotations; }

const Table& table_of(Format format) {
  switch (format) {
    case Format::megatron_bridge: return kMegatronBridge;
    case Format::megatron_lm: return kMegatronLm;
    case Format::automodel: return kAutomodel;
    case Format::dfm_megatron: return kDfmMegatron;
    case Format::dfm_automodel: return kDfmAutomodel;
    case Format::torchtitan: return kTorchtitan;
    default: return kHuggingFace;
  }
}

std::optional<Value> to_run(const Row& row, const Document& document, const Entry& entry) {
  const Value& value = entry.value;
  const bool is_word = row.kind == Kind::words || row.kind == Kind::open_words;
  const bool is_switch = row.kind == Kind::present || row.kind == Kind::absent;
  if (!is_word && (value.is_null() || value == Value("none"))) return std::nullopt;  // AutoModel writes `none`
  if (is_word) return word_to_run(row, document, entry);
  if (is_switch) {
    if (value != Value(true)) document.refuse(entry, "is a switch, which takes no value");
    return Value(row.kind == Kind::present);
  }
  switch (row.kind) {
    case Kind::count:
      if (!is_integer_from(value, 1)) document.refuse(entry, "must be a positive integer");
      return value;
    case Kind::whole:
      if (!is_integer_from(value, 0)) document.refuse(entry, "must be a non-negative integer");
      return value;
    case Kind::number:
      if (value.as<std::int64_t>() == nullptr && value.as<double>() == nullptr)
        document.refuse(entry, "must be a number");
      return value;
    case Kind::text:
      if (!text_of(entry)) document.refuse(entry, "must be a word");
      return Value(*text_of(entry));
    case Kind::texts:
    case Kind::counts: return list_to_run(row, document, entry);
    default: break;
  }
  const auto* flag = value.as<bool>();
  if (flag == nullptr) document.refuse(entry, "must be true or false");
  return Value(row.kind == Kind::opposite ? !*flag : *flag);
}

std::optional<Value> to_recipe(const Row& row, const Value& value) {
  const auto* flag = value.as<bool>();
  switch (row.kind) {
    case Kind::present: return flag != nullptr && *flag ? std::optional(Value(true)) : Value();
    case Kind::absent: return flag != nullptr && !*flag ? std::optional(Value(true)) : Value();
    case Kind::opposite: return flag == nullptr ? std::nullopt : std::optional(Value(!*flag));
    case Kind::words:
    case Kind::open_words: {
      const auto* text = value.as<std::string>();
      if (text == nullptr) return std::nullopt;
      const auto found =
          std::find_if(row.words.begin(), row.words.end(), [&](const Word& word) { return word.run == *text; });
      if (found == row.words.end()) return row.kind == Kind::open_words ? std::optional(value) : std::nullopt;
      if (found->recipe == "true" || found->recipe == "false") return Value(found->recipe == "true");
      return found->recipe.empty() ? Value() : Value(found->recipe);
    }
    case Kind::flag: return flag == nullptr ? std::nullopt : std::optional(value);
    case Kind::text: return value.as<std::string>() == nullptr ? std::nullopt : std::optional(value);
    case Kind::texts:
    case Kind::counts: return value.as<Value::List>() == nullptr ? std::nullopt : std::optional(value);
    default:
      return value.as<std::int64_t>() == nullptr && value.as<double>() == nullptr ? std::nullopt : std::optional(value);
  }
}

}  // namespace recipes
