#include "tuning/subject.h"

#include <algorithm>
#include <utility>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/document.h"
#include "tuning/json_text.h"

namespace tuning {
namespace {

recipes::Value description_of(const std::string& text, const std::string& file, const recipes::Overrides& overrides) {
  recipes::Value run = recipes::from_node(hw::Node::parse(text, file));
  recipes::apply(overrides, run);
  return run;
}

}  // namespace

bool is_run_description(const std::string& text) {
  return recipes::syntax_of(text) == recipes::Syntax::json && text.find("\"system\"") != std::string::npos;
}

Subject::Subject(const std::string& text, const std::string& file, std::optional<recipes::Format> format,
                 recipes::Overrides overrides, models::Library& library)
    : file_(file), text_(text), overrides_(std::move(overrides)) {
  if (!format && is_run_description(text)) {
    run_ = description_of(text, file, overrides_);
    return;
  }
  recipe_ = recipes::read_recipe(text, file, format);
  if (recipe_->format == recipes::Format::hugging_face)
    throw hw::InputError(hw::printable(file) +
                         ": must be a recipe, which has a layout, got the config.json of a model");
  imported_ = recipes::to_run(*recipe_, overrides_, library);
  run_ = recipes::from_node(imported_->run);
  missing_ = imported_->missing;
}

models::Run Subject::checked(models::Library& library) const {
  if (imported_) return recipes::checked_run(*imported_, library);
  return models::parse_run(recipes::to_node(run_, file_), library, false);
}

std::string Subject::saying(const recipes::Value& after, models::Library& library) const {
  if (!recipe_) return with_changes(text_, changes_between(run_, after));
  return recipes::with_changes(*recipe_, imported_->run, recipes::to_node(after, file_), overrides_, library);
}

}  // namespace tuning
