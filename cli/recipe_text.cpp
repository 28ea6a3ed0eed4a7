#include <fmt/format.h>

#include "cli/recipe.h"
#include "cli/recipe_input.h"
#include "cli/text_table.h"
#include "cli/wording.h"
#include "hw/error_text.h"

namespace cli {
namespace {

using Align = TextTable::Align;

std::string list(const std::string& title, const std::vector<std::string>& items, std::size_t width) {
  if (items.empty()) return "";
  std::string out = "\n" + title + "\n";
  for (const std::string& item : items) out += paragraph("  - ", item, width);
  return out;
}

std::string understood_table(const recipes::Imported& imported, std::size_t width) {
  TextTable table({{"line", Align::right}, {"understood"}, {"value"}, {"of the run"}});
  for (const recipes::Understood& key : imported.understood)
    table.add({std::to_string(key.line), key.key, hw::shortened(hw::printable(key.value)), key.field});
  return table.empty() ? "" : "\n" + table.text(width);
}

std::string ignored_table(const recipes::Imported& imported, std::size_t width) {
  TextTable table({{"line", Align::right}, {"ignored"}, {"because"}});
  for (const recipes::Ignored& key : imported.ignored)
    table.add({std::to_string(key.line), hw::printable(key.key), key.why});
  return table.empty() ? "" : "\n" + table.text(width);
}

std::string header(const recipes::Imported& imported, const models::Run* run, std::size_t width) {
  std::string out = paragraph("format     ", format_name(imported), width);
  if (run == nullptr) return out;
  out += paragraph("run        ",
                   fmt::format("{} on {} {}: {}, {}", run->model.name, run->layout.gpus, run->cluster.gpu.name,
                               name(run->task), name(run->precision)),
                   width);
  out += paragraph("layout     ", layout_text(run->layout), width);
  out += paragraph("batch      ", batch_text(run->layout), width);
  return out + paragraph("recompute  ", recompute_text(*run), width);
}

}  // namespace

std::string recipe_text(const recipes::Imported& imported, const models::Run* run, std::size_t width,
                        std::size_t table_width) {
  std::string out = header(imported, run, width);
  out += understood_table(imported, table_width) + ignored_table(imported, table_width);
  out += list("assumed by the reader, because the recipe does not state it", imported.assumed, width);
  if (run != nullptr) {
    out += list("assumed by the run", run->assumed, width);
    out += list("kept in the run, but not understood there", run->not_understood, width);
  }
  return out + list("missing: state it with --model, --system, --gpus or --set", imported.missing, width);
}

}  // namespace cli
