#include "cli/recipe_input.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 20;

}  // namespace

std::string read_recipe_text(const std::string& path) {
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

recipes::Value flag_value(const std::string& text) {
  try {
    const recipes::Value holder = recipes::from_node(hw::Node::parse("{\"value\": " + text + "}", "flag"));
    const recipes::Value* value = recipes::find(holder, "/value");
    return value == nullptr ? recipes::Value(text) : *value;
  } catch (const hw::InputError&) {
    return text;
  }
}

recipes::Overrides stated_overrides(const RecipeOptions& options) {
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

std::string format_name(const recipes::Imported& imported) {
  return imported.format ? std::string(recipes::name(*imported.format)) : "run";
}

std::string listed_fields(const std::vector<std::string>& fields) {
  std::string text;
  for (const std::string& field : fields) text += (text.empty() ? "" : ", ") + field;
  return text;
}

}  // namespace cli
