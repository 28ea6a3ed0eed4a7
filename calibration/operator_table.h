#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/csv_table.h"
#include "hw/cluster.h"
#include "hw/dtype.h"

namespace calibration {

/// What a fit of operator tables is given.
struct OperatorTables {
  std::filesystem::path folder;
  /// The machine of a table's system (`h100-sxm` and `h100` are the same), or none where it is not described.
  std::function<const hw::Cluster*(const std::string& system)> machine;
  std::string date;  ///< of the fit
};

/// Counts rows that a fit does not use, by reason, and tells of them in the order of the reasons.
class Unused {
 public:
  explicit Unused(std::string table) : table_(std::move(table)) {}
  void count(const std::string& reason) { ++rows_[reason]; }
  void columns(const CsvTable& table);
  /// `gemm.csv.gz: 12 rows not used: ...`
  std::vector<std::string> notes() const;

 private:
  std::string table_;
  std::map<std::string, std::size_t> rows_;
  std::vector<std::string> columns_;
};

/// The system's name in descriptions: without the form factor `-sxm`.
std::string machine_name(std::string_view system);

/// bfloat16 or bf16, float16 or fp16, float32 or fp32, fp8, fp8_block or fp8-block, mxfp8, nvfp4.
std::optional<hw::DType> table_dtype(std::string_view name);

/// Reads DIR/NAME.csv or .csv.gz row by row. A row of a system that is not described is counted, not visited. Returns
/// what was not used; a table that is absent is said to be.
std::vector<std::string> read_table(
    const OperatorTables& tables, const std::string& name,
    const std::function<std::function<void(const CsvRow&, const std::string& system, Unused&)>(CsvTable&)>& prepare);

}  // namespace calibration
