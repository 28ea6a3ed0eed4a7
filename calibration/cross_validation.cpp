#include "calibration/cross_validation.h"

#include <cstdint>
#include <map>
#include <string>

#include "calibration/conformal.h"
#include "calibration/parallel.h"
#include "calibration/validation.h"

namespace calibration {
namespace {

constexpr int kLayoutFolds = 5;

/// FNV-1a, 64 bits: the same on every machine.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

std::string fold_of(const MeasuredRun& run, const ValidatedRow& row, std::string_view key) {
  if (key == "layout") return std::to_string(hash_of(run.configuration) % kLayoutFolds);
  if (key == "model") return row.model;
  if (key == "system") return row.system;
  if (key == "release") return row.framework + " " + run.release;
  if (key == "framework-model") return row.framework + " " + row.model;
  if (key == "file") return row.file;
  return row.framework;
}

}  // namespace

CrossValidation cross_validate(const MeasuredRuns& runs, const RunsFitter& fitter, std::string_view key,
                               sim::Tier tier) {
  std::map<std::string, std::vector<std::size_t>> folds;
  for (std::size_t i = 0; i < runs.runs().size(); ++i)
    folds[fold_of(runs.runs()[i], runs.rows()[runs.runs()[i].row], key)].push_back(i);
  CrossValidation result{.key = std::string(key),
                         .rows = runs.rows(),
                         .fold = std::vector<int>(runs.rows().size(), -1),
                         .folds = static_cast<int>(folds.size())};
  int fold = 0;
  for (const auto& entry : folds) {
    const std::string& name = entry.first;
    const std::vector<std::size_t>& left_out = entry.second;
    for (const std::size_t i : left_out) result.fold[runs.runs()[i].row] = fold;
    ++fold;
    std::vector<std::size_t> others;
    for (const auto& [other, members] : folds)
      if (other != name) others.insert(others.end(), members.begin(), members.end());
    const RunsFit fit = fitter.fit(others);
    const Efficiencies efficiencies = efficiencies_of(runs, fit.profile);
    for_each_index(left_out.size(), [&](std::size_t i) {
      const MeasuredRun& run = runs.runs()[left_out[i]];
      predict_row(run, efficiencies, tier, result.rows[run.row]);
    });
  }
  fill_intervals(result);
  ask_rival(result.rows);
  return result;
}

}  // namespace calibration
