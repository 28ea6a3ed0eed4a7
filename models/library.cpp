#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "hw/cluster.h"
#include "hw/input_error.h"
#include "hw/node.h"
#include "hw/variant.h"
#include "models/model.h"
#include "models/run.h"

namespace models {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".json") names.push_back(at->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool is_path(const std::string& reference) {
  return reference.ends_with(".json") || reference.find('/') != std::string::npos;
}

/// The file that a reference by name or path means; refuses a name that nobody describes with those that exist.
fs::path described_file(const hw::Node& reference, const std::string& text, const fs::path& folder) {
  if (is_path(text)) return text;
  fs::path file = folder / (text + ".json");
  std::error_code error;
  if (fs::is_regular_file(file, error)) return file;
  const std::vector<std::string> names = names_in(folder);
  std::string rule = "no description of that name in " + folder.string();
  if (const auto meant = hw::nearest(text, names)) rule += " (did you mean \"" + *meant + "\"?)";
  rule += "; there are";
  for (const std::string& name : names) rule += (&name == &names.front() ? " " : ", ") + name;
  reference.fail(names.empty() ? rule + " none" : rule);
}

/// What to call a model read from a path: its file, or the folder of a Hugging Face `config.json`.
std::string model_name(const fs::path& file) {
  const bool is_config = file.stem() == "config" && file.has_parent_path() && !file.parent_path().stem().empty();
  return is_config ? file.parent_path().filename().string() : file.stem().string();
}

/// What a reference is known by: the object's text, or the name or path.
std::string key_of(const hw::Node& reference) {
  if (reference.is_object()) return reference.dump();
  if (!reference.is_text()) reference.fail("must be a name, a path or an object");
  return reference.text();
}

/// The machine in `folder` that `own`, described elsewhere, shares a name but not its rates with; none if there is
/// none.
std::shared_ptr<const hw::Cluster> other_of_that_name(const hw::Cluster& own, const fs::path& folder) {
  const fs::path file = folder / (own.name + ".json");
  std::error_code error;
  if (is_path(own.name) || !fs::is_regular_file(file, error)) return nullptr;
  hw::Cluster shipped = hw::parse_cluster(hw::Node::read_file(file));
  if (hw::same_rates(own, shipped)) return nullptr;
  return std::make_shared<const hw::Cluster>(std::move(shipped));
}

}  // namespace

const Model& Library::model(const hw::Node& reference) {
  const bool is_object = reference.is_object();
  const std::string key = key_of(reference);
  if (const auto known = models_.find(key); known != models_.end()) return known->second;
  if (is_object) return models_.emplace(key, parse_model(reference, "the model given in place")).first->second;
  const fs::path file = described_file(reference, key, data_.path / "models");
  return models_.emplace(key, parse_model(hw::Node::read_file(file), model_name(file))).first->second;
}

const hw::Cluster& Library::cluster(const hw::Node& reference) {
  const bool is_object = reference.is_object();
  const std::string key = key_of(reference);
  if (const auto known = clusters_.find(key); known != clusters_.end()) return known->second;
  const fs::path folder = data_.path / "hw";
  hw::Cluster cluster =
      hw::parse_cluster(is_object ? reference : hw::Node::read_file(described_file(reference, key, folder)));
  if (is_object || is_path(key)) cluster.variant_of = other_of_that_name(cluster, folder);
  return clusters_.emplace(key, std::move(cluster)).first->second;
}

bool Library::has_stack(const std::string& name) const {
  std::error_code error;
  return !is_path(name) && fs::is_regular_file(data_.path / "configs" / "stacks" / (name + ".json"), error);
}

const hw::Node& Library::stack(const std::string& name) {
  if (const auto known = stacks_.find(name); known != stacks_.end()) return known->second;
  const std::string file = (has_stack(name) ? name : std::string("generic")) + ".json";
  return stacks_.emplace(name, hw::Node::read_file(data_.path / "configs" / "stacks" / file)).first->second;
}

const Stack& Library::stack_at(const std::string& name, const std::string& release) {
  std::pair key(name, release);
  if (const auto known = stacks_at_.find(key); known != stacks_at_.end()) return known->second;
  return stacks_at_.emplace(std::move(key), parse_stack(stack(name), release)).first->second;
}

}  // namespace models
