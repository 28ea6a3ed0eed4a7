#include "calibration/cross_validation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "calibration/validation.h"
#include "tests/calibration/synthetic_runs.h"

namespace calibration {
namespace {

using test::measured_by, test::moved_by, test::plan_of, test::prior_profile, test::runs_of, test::slower;

const std::string kPlan =
    R"({"name": "sustained", "values": ["/devices/*/scalars/sustained/value"], "factor_spread": 0.1, "why": "t"},)"
    R"({"name": "host", "values": ["/shared/scalars/host_op_factor/value"], "factor_spread": 0.3, "why": "t"})";

/// A dozen published configurations that ran a tenth slower than the prior predicts.
const std::vector<hw::Node>& measured() {
  static const std::vector<hw::Node> all = [] {
    std::vector<hw::Node> some = test::published_rows("megatron_bridge.jsonl", 31);
    for (const hw::Node& row : test::published_rows("automodel.jsonl", 9)) some.push_back(row);
    return measured_by(moved_by(prior_profile(), plan_of(kPlan)[0], 0.9), some);
  }();
  return all;
}

CrossValidation left_out(const std::vector<std::vector<hw::Node>>& files, std::string_view key) {
  const MeasuredRuns runs = runs_of(files);
  const RunsFitter fitter(runs, prior_profile(), plan_of(kPlan));
  return cross_validate(runs, fitter, key, sim::Tier::closed_form);
}

// By hand: as many folds as values of the key, five at most of layouts. Refits that have not seen a row have seen the
// others, which are a tenth slower too, so each left-out row is predicted that much slower.
TEST(CrossValidation, EveryRowIsPredictedByAFitWithoutIt) {
  std::vector<hw::Node> rows = measured();
  rows.push_back(hw::Node::parse(R"({"id": "odd", "model": "no-such"})", "row"));
  std::set<std::string> models, systems, frameworks, pairs;
  for (const hw::Node& row : measured()) {
    models.insert(row.at("model").dump());
    systems.insert(row.at("system").dump());
    frameworks.insert(row.at("framework").dump());
    pairs.insert(row.at("framework").dump() + row.at("model").dump());
  }
  const MeasuredRuns runs = runs_of({rows});
  const RunsFitter fitter(runs, prior_profile(), plan_of(kPlan));
  const auto in_sample = validate(runs, prior_profile(), sim::Tier::closed_form);
  for (const std::string_view key : kFoldKeys) {
    const CrossValidation cross = cross_validate(runs, fitter, key, sim::Tier::closed_form);
    EXPECT_EQ(cross.key, key);
    ASSERT_EQ(cross.rows.size(), rows.size()) << key;
    for (std::size_t i = 0; i < cross.rows.size(); ++i) {
      EXPECT_EQ(cross.rows[i].is_predicted(), in_sample[i].is_predicted()) << key << " " << i;
      EXPECT_EQ(cross.rows[i].line, in_sample[i].line);
      // One fold of all rows leaves nothing to fit to: the prior.
      if (!cross.rows[i].is_predicted() || cross.folds == 1) continue;
      EXPECT_NEAR(cross.rows[i].predicted / cross.rows[i].measured, 1, 0.04) << key << " " << cross.rows[i].id;
    }
    if (key == "model") {
      EXPECT_EQ(cross.folds, static_cast<int>(models.size()));
    }
    if (key == "system") {
      EXPECT_EQ(cross.folds, static_cast<int>(systems.size()));
    }
    if (key == "framework") {
      EXPECT_EQ(cross.folds, static_cast<int>(frameworks.size()));
    }
    if (key == "framework-model") {
      EXPECT_EQ(cross.folds, static_cast<int>(pairs.size()));
    }
    if (key == "file") {
      EXPECT_EQ(cross.folds, 1);
    }
    if (key == "layout") {
      EXPECT_GT(cross.folds, 1);
      EXPECT_LE(cross.folds, 5);
    }
  }
}

// What is left out must not be known: a row that is said to have run twice as long is predicted as before.
TEST(CrossValidation, ARowsOwnTimeDoesNotReachItsPrediction) {
  for (const std::string_view key : {"layout", "model"}) {
    const CrossValidation before = left_out({measured()}, key);
    for (const std::size_t changed : {std::size_t{0}, measured().size() - 1}) {
      std::vector<hw::Node> rows = measured();
      rows[changed] = slower(rows[changed], 2);
      const CrossValidation after = left_out({rows}, key);
      EXPECT_NEAR(after.rows[changed].predicted / before.rows[changed].predicted, 1, 0.003) << key << " " << changed;
    }
  }
}

// The same configurations, measured a second time for another file: neither time reaches the other's prediction.
TEST(CrossValidation, OneConfigurationIsLeftOutOfAllFiles) {
  std::vector<hw::Node> again;
  for (const hw::Node& row : measured())
    again.push_back(row.with({{"/id", "again " + std::to_string(again.size())}, {"/release", std::string("26.04")}}));
  std::vector<hw::Node> slower_again = again;
  slower_again[2] = slower(again[2], 2);
  const CrossValidation before = left_out({measured(), again}, "layout"),
                        after = left_out({measured(), slower_again}, "layout");
  const std::size_t second = measured().size() + 2;
  EXPECT_NEAR(after.rows[2].predicted / before.rows[2].predicted, 1, 0.003);
  EXPECT_NEAR(after.rows[second].predicted / before.rows[second].predicted, 1, 0.003);
}

}  // namespace
}  // namespace calibration
