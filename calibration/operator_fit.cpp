#include "calibration/operator_fit.h"

#include <array>
#include <functional>
#include <utility>

#include "calibration/attention_fit.h"
#include "calibration/borrowed_curves.h"
#include "calibration/collective_fit.h"
#include "calibration/dispatch_fit.h"
#include "calibration/gemm_fit.h"
#include "calibration/grouped_gemm_fit.h"
#include "calibration/memory_bound_fit.h"
#include "hw/input_error.h"
#include "hw/node_edit.h"

namespace calibration {

OperatorFit fit_operators(const OperatorTables& tables, const hw::Node& prior, bool scalars) {
  if (!std::filesystem::is_directory(tables.folder))
    throw hw::InputError(tables.folder.string() + ": must be a folder of operator tables");
  const hw::Seconds overhead =
      hw::microseconds(prior.at("shared").at("scalars").at("attention_overhead_us").at("value").non_negative());
  CastFit casts = fit_casts(tables);
  GemmTablesFit gemms = fit_gemms(tables, casts.speeds);
  FamilyFit all = std::move(gemms.fit);
  all.append(fit_grouped_gemms(tables, gemms.curves));
  all.append(fit_attention_tables(tables, overhead));
  all.append(fit_collectives(tables));
  all.append(fit_dispatch(tables, prior));
  all.append(std::move(casts.fit));
  all.append(fit_norms(tables));

  const auto borrowed = borrowed_curves(all.values, prior, tables);
  auto values = all.values;
  values.insert(values.end(), borrowed.begin(), borrowed.end());
  if (scalars) values.insert(values.end(), all.scalars.begin(), all.scalars.end());
  return {std::move(all), hw::replaced(prior, values), borrowed.size()};
}

}  // namespace calibration
