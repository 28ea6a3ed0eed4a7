#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "models/recipes/document.h"
#include "models/recipes/format.h"
#include "models/recipes/value.h"

namespace recipes {

class Reading;
class Writing;

/// How a framework's value becomes a run's, and back.
enum class Kind {
  count,       ///< an integer from 1
  whole,       ///< an integer from 0
  number,      ///< any
  flag,        ///< true or false
  opposite,    ///< true means false
  present,     ///< a command line's switch: there, or not
  absent,      ///< one that turns something off
  text,        ///< the same word on both sides
  texts,       ///< a list of words
  counts,      ///< a list of integers from 0
  words,       ///< one of Row::words
  open_words,  ///< likewise; another word goes on as it is, and the run lists it as not understood
};

/// What a word of a framework is called in a run. An empty word is null: the key says that there is none.
struct Word {
  std::string_view recipe, run;
};

/// One key of a framework and the field of a run that it means, read from left to right and written from right to left.
/// Of several keys for one field the first is written, unless a recipe has another one already.
struct Row {
  std::string_view key;
  std::string_view field;  ///< JSON pointer
  Kind kind = Kind::count;
  std::span<const Word> words = {};
};

/// Where one key and one field do not suffice: keys that are read together, and written together.
struct Rule {
  std::span<const std::string_view> keys;
  std::span<const std::string_view> fields;
  void (*read)(Reading& reading);
  void (*write)(Writing& writing);
};

/// Keys that change nothing in a step's time, by name or, with `*` at the end, by how they begin.
struct Harmless {
  std::string_view key;
  std::string_view what;
};

/// Harmless::what of a model's dimensions: models are named, not built from a recipe's keys.
inline constexpr std::string_view kOfModel = "the model";

/// Everything that is known about a format's keys.
struct Table {
  Format format;
  std::span<const Row> rows;
  std::span<const Rule> rules;
  std::span<const Harmless> harmless;
};

const Table& table_of(Format format);

// One file a format.
extern const Table kMegatronBridge, kMegatronLm, kAutomodel, kDfmMegatron, kDfmAutomodel, kTorchtitan, kHuggingFace;

/// Lines `# stepcast: name = value`, which every format with comments may hold.
std::span<const Row> annotations();

/// The run's value of an entry; nothing where the key says that there is none. Throws hw::InputError.
std::optional<Value> to_run(const Row& row, const Document& document, const Entry& entry);
/// The framework's value of a run's; nothing where it has no word for that.
std::optional<Value> to_recipe(const Row& row, const Value& value);

}  // namespace recipes
