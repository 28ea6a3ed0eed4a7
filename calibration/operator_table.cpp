#include "calibration/operator_table.h"

#include <array>
#include <utility>

#include "hw/error_text.h"

namespace calibration {

void Unused::columns(const CsvTable& table) { columns_ = table.unused(); }

std::vector<std::string> Unused::notes() const {
  std::vector<std::string> lines;
  for (const auto& [reason, rows] : rows_)
    lines.push_back(table_ + ": " + std::to_string(rows) + " rows not used: " + reason);
  std::string names;
  for (const std::string& column : columns_) names += (names.empty() ? "" : ", ") + column;
  if (!names.empty()) lines.push_back(table_ + ": columns not used: " + hw::printable(names));
  return lines;
}

std::string machine_name(std::string_view system) {
  constexpr std::string_view kFormFactor = "-sxm";
  if (system.ends_with(kFormFactor)) system.remove_suffix(kFormFactor.size());
  return std::string(system);
}

std::optional<hw::DType> table_dtype(std::string_view name) {
  using Named = std::pair<std::string_view, hw::DType>;
  static constexpr std::array kNames{Named{"bfloat16", hw::DType::bf16},
                                     Named{"bf16", hw::DType::bf16},
                                     Named{"float16", hw::DType::fp16},
                                     Named{"fp16", hw::DType::fp16},
                                     Named{"float32", hw::DType::fp32},
                                     Named{"fp32", hw::DType::fp32},
                                     Named{"fp8", hw::DType::fp8},
                                     Named{"fp8_block", hw::DType::fp8_block},
                                     Named{"fp8-block", hw::DType::fp8_block},
                                     Named{"mxfp8", hw::DType::mxfp8},
                                     Named{"nvfp4", hw::DType::nvfp4}};
  for (const auto& [known, type] : kNames)
    if (known == name) return type;
  return std::nullopt;
}

std::vector<std::string> read_table(
    const OperatorTables& tables, const std::string& name,
    const std::function<std::function<void(const CsvRow&, const std::string& system, Unused&)>(CsvTable&)>& prepare) {
  const auto path = find_table(tables.folder, name);
  if (!path) return {name + ".csv: not there"};
  CsvTable table = CsvTable::read(*path);
  const std::size_t system = table.column("system");
  const auto visit = prepare(table);
  Unused unused(path->filename().string());
  std::map<std::string, bool, std::less<>> described;
  table.each_row([&](const CsvRow& row) {
    auto known = described.find(row.text(system));
    if (known == described.end()) {
      const std::string machine = machine_name(row.text(system));
      known = described.emplace(row.text(system), tables.machine(machine) != nullptr).first;
    }
    if (known->second) visit(row, machine_name(known->first), unused);
    else unused.count("of system " + hw::shortened(hw::printable(known->first)) + ", which is not described");
  });
  unused.columns(table);
  return unused.notes();
}

}  // namespace calibration
