#include "cli/recipe.h"

#include <optional>
#include <utility>

#include "cli/output_file.h"
#include "cli/recipe_input.h"
#include "cli/terminal.h"
#include "hw/input_error.h"
#include "tuning/subject.h"

namespace cli {
namespace {

recipes::Imported import(const RecipeOptions& options, models::Library& library) {
  if (options.recipe.empty()) throw hw::InputError("recipe: needs RECIPE, the file of a recipe (docs/recipes.md)");
  std::optional<recipes::Format> format;
  if (!options.format.empty()) format = recipes::parse_format(options.format);
  const recipes::Overrides given = stated_overrides(options);
  const std::string text = read_recipe_text(options.recipe);
  if (!format && tuning::is_run_description(text)) {
    recipes::Value run = recipes::from_node(hw::Node::parse(text, options.recipe));
    recipes::apply(given, run);
    return {.run = recipes::to_node(run, options.recipe), .format = {}};
  }
  return recipes::to_run(recipes::read_recipe(text, options.recipe, format), given, library);
}

std::string said(const std::string& what, const std::vector<std::string>& fields) {
  return fields.empty() ? "" : what + ": " + listed_fields(fields) + "\n";
}

}  // namespace

Answer show_recipe(const RecipeOptions& options, const models::DataDirectory& data) {
  models::Library library(data);
  const recipes::Imported imported = import(options, library);
  std::optional<models::Run> run;
  if (imported.missing.empty()) run = recipes::checked_run(imported, library);
  const models::Run* whole = run ? &*run : nullptr;
  const PageWidth width = page_width();
  Answer answer{.status = run ? kDone : kNo, .out = recipe_text(imported, whole, width.prose, width.table)};
  place_json(options.json, recipe_json(imported, whole), answer.out);
  return answer;
}

Answer convert_recipe(const RecipeOptions& options, const models::DataDirectory& data) {
  if (options.to.empty()) throw hw::InputError("recipe convert: needs --to, run or a format (docs/recipes.md)");
  models::Library library(data);
  const recipes::Imported imported = import(options, library);
  if (!imported.missing.empty()) {
    return {.status = kNo,
            .diagnostics =
                "a run also needs " + listed_fields(imported.missing) + "; state --model, --system, --gpus or --set\n"};
  }
  Answer answer;
  if (options.to == "run") {
    recipes::checked_run(imported, library);
    answer.out = imported.run.pretty();
  } else {
    recipes::checked_run(imported, library);
    const recipes::Format format = recipes::parse_format(options.to);
    std::vector<std::string> dropped;
    const hw::Node run = recipes::in_framework(format, imported.run, dropped);
    recipes::Written written = recipes::write(format, run, library);
    answer.out = std::move(written.text);
    answer.diagnostics = said("settings of the other framework, not carried over", dropped) +
                         said("left out, as the recipe is of the same run without", written.left_out);
  }
  if (!options.out.empty()) {
    write_file(options.out, answer.out);
    answer.out.clear();
  }
  return answer;
}

}  // namespace cli
