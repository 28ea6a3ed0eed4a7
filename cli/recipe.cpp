#include "cli/recipe.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/output_file.h"
#include "cli/terminal.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 20;

std::string read_text(const std::string& path) {
  const std::string name = hw::printable(path);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw hw::InputError(name + ": is a directory, not a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) throw hw::InputError(name + ": cannot be opened");
  std::string text;
  std::array<char, 1 << 16> chunk;
  while (file.read(chunk.data(), chunk.size()), file.gcount() > 0) {
    text.append(chunk.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMostBytes) throw hw::InputError(name + ": a recipe must not be larger than 4 MiB");
  }
  return text;
}

/// A number, true, false or an array as JSON writes it; anything else is a word.
recipes::Value flag_value(const std::string& text) {
  try {
    const recipes::Value holder = recipes::from_node(hw::Node::parse("{\"value\": " + text + "}", "flag"));
    const recipes::Value* value = recipes::find(holder, "/value");
    return value == nullptr ? recipes::Value(text) : *value;
  } catch (const hw::InputError&) {
    return text;
  }
}

recipes::Overrides overrides(const RecipeOptions& options) {
  recipes::Overrides given;
  if (!options.model.empty()) given.emplace_back("model", options.model);
  if (!options.system.empty()) given.emplace_back("system", options.system);
  if (!options.release.empty()) given.emplace_back("release", options.release);
  if (!options.gpus.empty()) given.emplace_back("gpus", flag_value(options.gpus));
  for (const std::string& setting : options.set) {
    const std::size_t sign = setting.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == setting.size())
      throw hw::InputError("--set: must be KEY=VALUE, got " + hw::shortened(hw::printable(setting)));
    given.emplace_back(setting.substr(0, sign), flag_value(setting.substr(sign + 1)));
  }
  return given;
}

/// A run description instead of a recipe, such as `convert` takes too: JSON that names a machine.
bool is_run(const std::string& text) {
  return recipes::syntax_of(text) == recipes::Syntax::json && text.find("\"system\"") != std::string::npos;
}

recipes::Imported import(const RecipeOptions& options, models::Library& library) {
  if (options.recipe.empty()) throw hw::InputError("recipe: needs RECIPE, the file of a recipe (docs/recipes.md)");
  std::optional<recipes::Format> format;
  if (!options.format.empty()) format = recipes::parse_format(options.format);
  const recipes::Overrides given = overrides(options);
  const std::string text = read_text(options.recipe);
  if (!format && is_run(text)) {
    recipes::Value run = recipes::from_node(hw::Node::parse(text, options.recipe));
    for (const auto& [field, value] : given) recipes::set(run, "/" + field, value);
    return {.run = recipes::to_node(run, options.recipe)};
  }
  return recipes::to_run(recipes::read_recipe(text, options.recipe, format), given, library);
}

std::string listed(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : ", ") + field;
  return text;
}

std::string said(const std::string& what, const std::vector<std::string>& fields) {
  return fields.empty() ? "" : what + ": " + listed(fields) + "\n";
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
    return {
        .status = kNo,
        .diagnostics = "a run also needs " + listed(imported.missing) + "; state --model, --system, --gpus or --set\n"};
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
