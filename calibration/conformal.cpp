#include "calibration/conformal.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

namespace calibration {
namespace {

constexpr double kCovered = 0.8;
constexpr double kLeastWidth = 1e-4;  ///< that four decimals can say
constexpr std::size_t kFew = 20;      ///< rows of a family below which it is at least as wide as all together
constexpr std::array<std::string_view, 3> kFamilies = {"dense", "moe", "dit"};

std::size_t family_of(const ValidatedRow& row) {
  return static_cast<std::size_t>(std::ranges::find(kFamilies, row.family) - kFamilies.begin());
}

double residual(const ValidatedRow& row) { return std::abs(std::log(row.predicted / row.measured)); }

/// The ceil((n + 1) * 0.8)-th smallest: covers a new draw with at least 80 %.
double conformal_quantile(std::vector<double> residuals) {
  if (residuals.empty()) return 0;
  std::sort(residuals.begin(), residuals.end());
  const auto rank = static_cast<std::size_t>(std::ceil(kCovered * static_cast<double>(residuals.size() + 1)));
  return residuals[std::min(rank, residuals.size()) - 1];
}

struct Learned {
  hw::Intervals::Widths widths{};
  double assumed = 1;
};

double assumed_factor(const std::vector<const ValidatedRow*>& rows) {
  std::vector<double> stated, open;
  for (const ValidatedRow* row : rows) (row->assumed ? open : stated).push_back(residual(*row));
  if (stated.size() < kFew || open.size() < kFew) return 1;
  return std::max(1.0, conformal_quantile(open) / conformal_quantile(stated));
}

Learned learn(const std::vector<const ValidatedRow*>& rows) {
  Learned learned{.assumed = assumed_factor(rows)};
  std::array<std::vector<double>, kFamilies.size()> by_family;
  std::vector<double> all;
  for (const ValidatedRow* row : rows) {
    all.push_back(residual(*row) / (row->assumed ? learned.assumed : 1));
    by_family[family_of(*row)].push_back(all.back());
  }
  for (std::size_t family = 0; family < kFamilies.size(); ++family) {
    const double own = conformal_quantile(by_family[family]);
    learned.widths[family] = by_family[family].size() < kFew ? std::max(own, conformal_quantile(all)) : own;
  }
  return learned;
}

const CrossValidation& of_key(std::span<const CrossValidation> cross, std::string_view key) {
  const auto found = std::ranges::find(cross, key, &CrossValidation::key);
  assert(found != cross.end());
  return *found;
}

Learned learn_all(const CrossValidation& cross) {
  std::vector<const ValidatedRow*> rows;
  for (const ValidatedRow& row : cross.rows)
    if (row.is_predicted()) rows.push_back(&row);
  return learn(rows);
}

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return "[" + text + "]";
}

std::string widths_text(const hw::Intervals::Widths& widths) {
  char text[96];
  std::snprintf(text, sizeof text, R"({"dense": %.4f, "moe": %.4f, "dit": %.4f})", std::max(widths[0], kLeastWidth),
                std::max(widths[1], kLeastWidth), std::max(widths[2], kLeastWidth));
  return text;
}

}  // namespace

void fill_intervals(CrossValidation& cross) {
  for (int fold = 0; fold < cross.folds; ++fold) {
    std::vector<const ValidatedRow*> others;
    for (std::size_t i = 0; i < cross.rows.size(); ++i)
      if (cross.rows[i].is_predicted() && cross.fold[i] != fold) others.push_back(&cross.rows[i]);
    const Learned learned = learn(others);
    for (std::size_t i = 0; i < cross.rows.size(); ++i) {
      ValidatedRow& row = cross.rows[i];
      if (!row.is_predicted() || cross.fold[i] != fold) continue;
      const double factor = std::exp(learned.widths[family_of(row)] * (row.assumed ? learned.assumed : 1));
      row.low = row.predicted / factor;
      row.high = factor * row.predicted;
    }
  }
}

hw::Intervals intervals_of(std::span<const CrossValidation> cross) {
  const Learned layout = learn_all(of_key(cross, "layout"));
  hw::Intervals intervals{.layout = layout.widths,
                          .model = learn_all(of_key(cross, "model")).widths,
                          .system = learn_all(of_key(cross, "system")).widths,
                          .framework = learn_all(of_key(cross, "framework")).widths,
                          .assumed = layout.assumed,
                          .models = {},
                          .systems = {},
                          .frameworks = {}};
  std::set<std::string> models, systems, frameworks;
  for (const ValidatedRow& row : of_key(cross, "layout").rows) {
    if (!row.is_predicted()) continue;
    models.insert(row.model);
    systems.insert(row.system);
    frameworks.insert(row.framework);
  }
  intervals.models.assign(models.begin(), models.end());
  intervals.systems.assign(systems.begin(), systems.end());
  intervals.frameworks.assign(frameworks.begin(), frameworks.end());
  return intervals;
}

hw::Node intervals_node(const hw::Intervals& intervals, const std::string& source) {
  char assumed[32];
  std::snprintf(assumed, sizeof assumed, "%.3f", intervals.assumed);
  return hw::Node::parse(
      "{\"source\": \"" + source + "\", \"layout\": " + widths_text(intervals.layout) +
          ", \"model\": " + widths_text(intervals.model) + ", \"system\": " + widths_text(intervals.system) +
          ", \"framework\": " + widths_text(intervals.framework) + ", \"assumed\": " + assumed +
          ", \"models\": " + names_text(intervals.models) + ", \"systems\": " + names_text(intervals.systems) +
          ", \"frameworks\": " + names_text(intervals.frameworks) + "}",
      "intervals");
}

}  // namespace calibration
