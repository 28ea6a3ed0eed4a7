#pragma once

#include <optional>
#include <string>

#include "models/recipes/recipe.h"
#include "models/run.h"

namespace tuning {

/// A run description instead of a recipe: JSON that names a machine, which a framework's own files never do.
bool is_run_description(const std::string& text);

/// What is tuned: the recipe of a framework, or a run description.
class Subject {
 public:
  /// `overrides`: what the caller states above what the text says. Throws hw::InputError.
  Subject(const std::string& text, const std::string& file, std::optional<recipes::Format> format,
          recipes::Overrides overrides, models::Library& library);

  const recipes::Value& run() const { return run_; }                    ///< its run description, as far as it is known
  const std::vector<std::string>& missing() const { return missing_; }  ///< what a run needs beyond it
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }

  /// The run, checked. Throws hw::InputError, which names the place in the text. Precondition: nothing is missing.
  models::Run checked(models::Library& library) const;
  /// The same text, saying `after` in place of run(): only what differs is changed. Throws hw::InputError where the
  /// format has no words for it.
  std::string saying(const recipes::Value& after, models::Library& library) const;

 private:
  std::string file_, text_;
  recipes::Overrides overrides_;
  std::optional<recipes::Recipe> recipe_;
  std::optional<recipes::Imported> imported_;
  recipes::Value run_;
  std::vector<std::string> missing_;
};

}  // namespace tuning
