#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/reading.h"
#include "models/recipes/recipe.h"

namespace recipes {
namespace {

/// A stated format may be written in its usual syntax, or Megatron-Bridge's in any.
Syntax syntax_for(Format format, Syntax told) {
  if (format == Format::megatron_bridge && told != Syntax::toml && told != Syntax::json) return told;
  return usual_syntax(format);
}

}  // namespace

Recipe read_recipe(std::string_view text, const std::string& file, std::optional<Format> format) {
  const Syntax told = syntax_of(text);
  if (format) return {*format, parse_document(text, file, syntax_for(*format, told))};
  Document document = parse_document(text, file, told);
  return {format_of(document.text, told, file), std::move(document)};
}

Imported to_run(const Recipe& recipe, const Overrides& overrides, models::Library& library) {
  return Reading(recipe.document, table_of(recipe.format), overrides, library).finish();
}

}  // namespace recipes
