#include <algorithm>
#include <string>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/differences.h"
#include "models/recipes/edit.h"
#include "models/recipes/recipe.h"
#include "models/recipes/render.h"
#include "models/recipes/writing.h"

namespace recipes {
namespace {

std::string listed(const std::vector<std::string>& fields, const Value& run) {
  std::string text;
  for (const std::string& field : fields)
    text += (text.empty() ? "" : "; ") + dotted(field) + " = " + hw::shortened(json(*find(run, field)));
  return text;
}

/// Hugging Face's config.json holds the model, and nothing of how it is trained.
Written write_model(const Value& run, models::Library& library) {
  const Value* model = find(run, "/model");
  if (model == nullptr) throw hw::InputError("run: model: must be stated");
  Written written;
  if (const auto* name = model->as<std::string>()) {
    const bool is_path = name->ends_with(".json") || name->find('/') != std::string::npos;
    library.model(to_node(run, "run").at("model"));
    written.text =
        hw::Node::read_file(is_path ? *name : (library.data().path / "models" / (*name + ".json")).string()).pretty();
  } else {
    written.text = to_node(*model, "run").pretty();
  }
  for (const auto& [field, value] : leaves(run)) {
    if (!field.starts_with("/model")) written.left_out.push_back(dotted(field));
  }
  return written;
}

/// What of the run a text says. Throws where that is not all that matters.
void check(const std::string& text, Format format, const Value& run, models::Library& library, Written& written) {
  const Recipe recipe{format, parse_document(text, "the new recipe", usual_syntax(format))};
  const Value got = canonical(to_run(recipe, {}, library).run);
  std::vector<std::string> same;
  const std::vector<std::string> lost = differences_that_matter(run, got, library, same);
  if (!lost.empty()) {
    throw hw::InputError("run: recipes of " + std::string(name(format)) + " have no words for: " + listed(lost, run));
  }
  for (const std::string& field : same) {
    if (!follows(field)) written.left_out.push_back(dotted(field));
  }
}

std::vector<std::string_view> usual_order(const Table& table) {
  std::vector<std::string_view> order;
  for (const Row& row : table.rows) order.push_back(row.key);
  for (const Rule& rule : table.rules) order.insert(order.end(), rule.keys.begin(), rule.keys.end());
  return order;
}

const Value* setting(const Settings& settings, const std::string& key) {
  const auto found = std::find_if(settings.begin(), settings.end(), [&key](const auto& s) { return s.first == key; });
  return found == settings.end() ? nullptr : &found->second;
}

std::vector<Change> changes_between(const Settings& before, const Settings& after) {
  std::vector<Change> changes;
  for (const auto& [key, value] : after) {
    const Value* was = setting(before, key);
    if (was == nullptr || *was != value) changes.push_back({key, value});
  }
  for (const auto& [key, value] : before) {
    if (setting(after, key) == nullptr) changes.push_back({key, std::nullopt});
  }
  return changes;
}

/// Fields of `after` that a text does not say. One that the recipe did not say before either, and that was not asked to
/// change, is none of them.
std::vector<std::string> unsaid(const Value& says, const Value& original, const Value& before, const Value& after,
                                models::Library& library) {
  const auto is_in = [&after](const Value& run, const std::string& field) {
    const Value* value = find(run, field);
    return value != nullptr && *value == *find(after, field);
  };
  std::vector<std::string> same;
  std::vector<std::string> fields = differences_that_matter(after, says, library, same);
  std::erase_if(fields, [&](const std::string& field) { return is_in(before, field) && !is_in(original, field); });
  return fields;
}

}  // namespace

Written write(Format format, const hw::Node& run, models::Library& library) {
  models::parse_run(to_node(canonical(run), run.file()), library, false);
  const Value wanted = canonical(run);
  if (format == Format::hugging_face) return write_model(wanted, library);
  Written written;
  written.text = render(settings_of(wanted, table_of(format), nullptr, library), usual_syntax(format), format);
  check(written.text, format, wanted, library, written);
  return written;
}

std::string with_changes(const Recipe& recipe, const hw::Node& before, const hw::Node& after,
                         const Overrides& overrides, models::Library& library) {
  // What followed from a changed key may have to be stated now: twice is enough, a third time would go in circles.
  constexpr int kRounds = 3;
  const Table& table = table_of(recipe.format);
  const Value was = canonical(before), wanted = canonical(after);
  models::parse_run(to_node(wanted, after.file()), library, false);
  const Value original = canonical(to_run(recipe, overrides, library).run);
  Recipe current = recipe;
  Value says = was;
  std::vector<std::string> lost;
  for (int round = 0; round < kRounds; ++round) {
    const Settings old_keys = settings_of(says, table, &current.document, library);
    const Settings new_keys = settings_of(wanted, table, &current.document, library);
    const std::string text = edited(current.document, changes_between(old_keys, new_keys), usual_order(table));
    current.document = parse_document(text, recipe.document.file, recipe.document.syntax);
    says = canonical(to_run(current, overrides, library).run);
    lost = unsaid(says, original, was, wanted, library);
    if (lost.empty()) return text;
  }
  throw hw::InputError(hw::printable(recipe.document.file) + ": recipes of " + std::string(name(recipe.format)) +
                       " cannot say the change to: " + listed(lost, wanted));
}

}  // namespace recipes
