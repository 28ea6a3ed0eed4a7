#include "models/recipes/located_error.h"

#include <algorithm>

#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/recipes/differences.h"

namespace recipes {
namespace {

/// The key that stated a field.
const Understood* origin(const std::string& field, const std::vector<Understood>& understood) {
  const auto found = std::find_if(understood.rbegin(), understood.rend(),
                                  [&field](const Understood& key) { return key.field == field; });
  return found == understood.rend() ? nullptr : &*found;
}

}  // namespace

std::string located_error(const std::string& what, const std::string& file, const std::vector<Understood>& understood) {
  const std::string start = hw::printable(file) + ": /";
  const std::size_t end = what.find(": ", start.size());
  if (!what.starts_with(start) || end == std::string::npos) return what;
  std::string pointer = what.substr(start.size() - 1, end - start.size() + 1);
  for (;;) {
    if (const Understood* key = origin(dotted(pointer), understood))
      return start.substr(0, start.size() - 1) + "line " + std::to_string(key->line) + ": " + key->key +
             what.substr(end);
    const std::size_t last = pointer.rfind('/');  // an element of a list, or a part of a layout
    if (last == 0 || last == std::string::npos) return what;
    pointer.resize(last);
  }
}

models::Run checked_run(const Imported& imported, models::Library& library) {
  try {
    return models::parse_run(imported.run, library, false);
  } catch (const hw::InputError& error) {
    throw hw::InputError(located_error(error.what(), imported.run.file(), imported.understood));
  }
}

}  // namespace recipes
