#include "calibration/runs_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "tests/calibration/synthetic_runs.h"

namespace calibration {
namespace {

using test::measured_by, test::moved_by, test::number_at, test::plan_of, test::prior_profile, test::runs_of;

const std::string kSustained =
    R"({"name": "sustained", "values": ["/devices/*/scalars/sustained/value"], "factor_spread": 0.1, "why": "t"})";
const std::string kNorms =
    R"({"name": "norms", "values": ["/shared/pointwise/*/norm", "/shared/pointwise/*/residual",)"
    R"( "/shared/pointwise/*/gradient_add"], "factor_spread": 0.6, "highest": 0.98, "why": "t"})";
const std::string kActivations =
    R"({"name": "activations", "values": ["/shared/pointwise/*/activation"], "factor_spread": 0.5, "highest": 0.98,)"
    R"( "why": "t"})";
const std::string kStragglers =
    R"({"name": "stragglers", "values": ["/shared/scalars/straggler_slope/value"], "added_spread": 0.01, "lowest": 0,)"
    R"( "why": "t"})";
/// Of the rows below none runs the first FlashAttention's kernel.
const std::string kTriton =
    R"({"name": "triton", "values": ["/shared/scalars/triton_rate/value"], "factor_spread": 0.15, "why": "t"})";

/// About thirty published configurations, dense and of experts, on five machines.
const std::vector<hw::Node>& rows() {
  static const std::vector<hw::Node> all = [] {
    std::vector<hw::Node> some = test::published_rows("megatron_bridge.jsonl", 16);
    for (const char* file : {"automodel.jsonl", "zero_bubble.jsonl"})
      for (const hw::Node& row : test::published_rows(file, 8)) some.push_back(row);
    return some;
  }();
  return all;
}

constexpr double kSustainedFactor = 0.9, kNormsFactor = 0.8, kActivationsFactor = 0.75, kSlope = 0.005;

/// What the rows tell.
std::vector<FitParameter> told_plan(const std::string& more = "") {
  return plan_of(kSustained + "," + kNorms + "," + kActivations + "," + kStragglers + more);
}

/// The rows, as if the prior was wrong by these.
const std::vector<hw::Node>& measured() {
  static const std::vector<hw::Node> all = [] {
    const auto plan = told_plan();
    hw::Node truth = prior_profile().with({{plan[3].values.front(), kSlope}});
    truth = moved_by(truth, plan[0], kSustainedFactor);
    truth = moved_by(truth, plan[1], kNormsFactor);
    return measured_by(moved_by(truth, plan[2], kActivationsFactor), rows());
  }();
  return all;
}

std::vector<std::size_t> first(std::size_t count) {
  std::vector<std::size_t> indices(count);
  std::iota(indices.begin(), indices.end(), std::size_t{0});
  return indices;
}

double factor_of(const FittedParameter& fitted) { return fitted.value / fitted.prior; }

// Priors of 10 to 50 % and a scale of 2 % at least: what is left of the pull towards the prior is below a percent or
// two.
TEST(RunsFit, RecoversWhatWasMoved) {
  ASSERT_GT(rows().size(), 25U);
  const MeasuredRuns runs = runs_of({measured()});
  const RunsFitter fitter(runs, prior_profile(), told_plan("," + kTriton));
  const RunsFit& fit = fitter.all();
  EXPECT_EQ(fit.rows, static_cast<int>(rows().size()));
  EXPECT_GT(fit.before, 0.05);
  EXPECT_LT(fit.after, 0.003);
  const double found[] = {factor_of(fit.parameters[0]), factor_of(fit.parameters[1]), factor_of(fit.parameters[2]),
                          fit.parameters[3].value};
  const double truth[] = {kSustainedFactor, kNormsFactor, kActivationsFactor, kSlope};
  for (std::size_t i = 0; i < 4; ++i) {
    const FittedParameter& fitted = fit.parameters[i];
    EXPECT_TRUE(fitted.identified) << fitted.parameter.name;
    EXPECT_NEAR(found[i] / truth[i], 1, i == 0 ? 0.01 : i == 3 ? 0.2 : 0.06) << fitted.parameter.name;
    const double true_value = i == 3 ? kSlope : fitted.prior * truth[i];
    EXPECT_LE(fitted.low, true_value) << fitted.parameter.name;
    EXPECT_GE(fitted.high, true_value) << fitted.parameter.name;
  }
  EXPECT_GT(fit.parameters[0].learned, 0.9);

  // What nothing depends on stays at its prior, to the bit.
  const FittedParameter& triton = fit.parameters[4];
  EXPECT_FALSE(triton.identified);
  EXPECT_NEAR(triton.learned, 0, 1e-9);
  EXPECT_EQ(triton.value, triton.prior);
  const std::string& pointer = triton.parameter.values.front();
  EXPECT_EQ(number_at(fit.profile, pointer), number_at(prior_profile(), pointer));
}

// A row that ran five times as long: with squares it would pull by 1.6 over 30 rows, with Student's t by next to
// nothing.
TEST(RunsFit, AnOutlierHardlyMovesTheFit) {
  std::vector<hw::Node> wrong = measured();
  wrong[3] = test::slower(wrong[3], 5);
  const auto plan = told_plan();
  const MeasuredRuns right_runs = runs_of({measured()}), wrong_runs = runs_of({wrong});
  const RunsFitter right(right_runs, prior_profile(), plan), with_outlier(wrong_runs, prior_profile(), plan);
  EXPECT_NEAR(with_outlier.all().parameters[0].value / right.all().parameters[0].value, 1, 0.01);
  EXPECT_LT(with_outlier.all().after, 0.01);
}

// The truth lies below `lowest`: the fit stops there, the profile too.
TEST(RunsFit, LimitsHold) {
  const double prior = number_at(prior_profile(), "/devices/h100/scalars/sustained/value");
  const double lowest = 0.97 * prior, highest = 1.1;
  const std::string limited = R"({"name": "limited", "values": ["/devices/*/scalars/sustained/value"],)"
                              R"( "factor_spread": 0.1, "why": "t", "lowest": )" +
                              std::to_string(lowest) + R"(, "highest": )" + std::to_string(highest) + "}";
  const MeasuredRuns runs = runs_of({measured()});
  const RunsFitter fitter(runs, prior_profile(), plan_of(limited));
  const FittedParameter& fitted = fitter.all().parameters.front();
  EXPECT_NEAR(fitted.value, lowest, 1e-5);
  EXPECT_GE(fitted.low, lowest - 1e-6);
  for (const std::string& pointer : fitted.parameter.values) {
    EXPECT_GE(number_at(fitter.all().profile, pointer), lowest - 1e-6) << pointer;
    EXPECT_LE(number_at(fitter.all().profile, pointer), highest) << pointer;
  }
}

// A parameter that a limit stops must not stop the others: they end where they do with the first one fixed
// there, but for the gain at which a fit has ended (without this 15 % off).
TEST(RunsFit, OthersGoOnWhereOneIsAtItsLimit) {
  const hw::Node fixed = moved_by(prior_profile(), told_plan()[0], 0.97);
  const double lowest = number_at(fixed, "/devices/h100/scalars/sustained/value");
  const std::string limited = R"({"name": "limited", "values": ["/devices/*/scalars/sustained/value"],)"
                              R"( "factor_spread": 0.1, "why": "t", "lowest": )" +
                              std::to_string(lowest) + "}";
  const std::string others = kNorms + "," + kActivations;
  const MeasuredRuns runs = runs_of({measured()});
  const RunsFitter with_limit(runs, prior_profile(), plan_of(limited + "," + others));
  const RunsFitter with_fixed(runs, fixed, plan_of(others));
  EXPECT_NEAR(with_limit.all().parameters[0].value, lowest, 1e-5);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_NEAR(with_limit.all().parameters[i + 1].value / with_fixed.all().parameters[i].value, 1, 0.08) << i;
}

// Two parameters that move one number: it moves by both.
TEST(RunsFit, ParametersOfOneNumberMoveItOneAfterAnother) {
  const std::string pointer = "/devices/h100/scalars/sustained/value";
  const std::string own = R"({"name": "h100", "values": [")" + pointer + R"("], "factor_spread": 0.1, "why": "t"})";
  const auto plan = plan_of(kSustained + "," + own);
  const auto slowed = measured_by(moved_by(moved_by(prior_profile(), plan[0], 0.95), plan[1], 0.9), rows());
  const MeasuredRuns runs = runs_of({slowed});
  const RunsFitter fitter(runs, prior_profile(), plan);
  const RunsFit& fit = fitter.all();
  const double prior = number_at(prior_profile(), pointer);
  EXPECT_NEAR(number_at(fit.profile, pointer), prior * factor_of(fit.parameters[0]) * factor_of(fit.parameters[1]),
              1e-12);
  EXPECT_NEAR(number_at(fit.profile, pointer) / prior, 0.95 * 0.9, 0.01);
  EXPECT_NEAR(number_at(fit.profile, "/devices/gb200/scalars/sustained/value") / prior, 0.95, 0.01);
}

// A refit must not know what it is left out for: a tenth of the rows ran twice as long, and it hardly notices.
TEST(RunsFit, RowsOutsideOfThePartDoNotCount) {
  std::vector<hw::Node> changed = measured();
  const std::size_t inside = 9 * changed.size() / 10;
  for (std::size_t i = inside; i < changed.size(); ++i) changed[i] = test::slower(changed[i], 2);
  const auto plan = told_plan();
  const MeasuredRuns right_runs = runs_of({measured()}), changed_runs = runs_of({changed});
  const RunsFitter right(right_runs, prior_profile(), plan), other(changed_runs, prior_profile(), plan);
  const RunsFit a = right.fit(first(inside)), b = other.fit(first(inside));
  EXPECT_EQ(a.rows, static_cast<int>(inside));
  for (std::size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(a.parameters[i].identified, b.parameters[i].identified) << plan[i].name;
    EXPECT_NEAR(b.parameters[i].value / a.parameters[i].value, 1, i == 3 ? 0.1 : 0.01) << plan[i].name;
  }
  EXPECT_NEAR(b.after, a.after, 0.002);
}

std::string refusal(const std::string& plan) {
  try {
    parse_fit_plan(hw::Node::parse(plan, "plan.json"),
                   hw::Node::parse(R"({"a": {"x": 1, "y": 2, "text": "t"}})", "profile.json"));
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string parameter(const std::string& values, const std::string& rest) {
  return refusal(R"({"parameters": [{"name": "n", "why": "w", "values": )" + values + rest + "}]}");
}

TEST(FitPlan, StarsStandForEveryKeyThatLeadsOn) {
  const hw::Node profile = hw::Node::parse(R"({"d": {"a": {"s": 1}, "b": {"t": 2}, "c": {"s": 3}}})", "p.json");
  const hw::Node plan = hw::Node::parse(
      R"({"parameters": [{"name": "n", "values": ["/d/*/s"], "added_spread": 0.5, "lowest": -1, "why": "w"}]})",
      "plan.json");
  const auto parameters = parse_fit_plan(plan, profile);
  ASSERT_EQ(parameters.size(), 1U);
  EXPECT_EQ(parameters[0].values, (std::vector<std::string>{"/d/a/s", "/d/c/s"}));
  EXPECT_TRUE(parameters[0].adds);
  EXPECT_EQ(parameters[0].spread, 0.5);
  EXPECT_EQ(parameters[0].lowest, -1);
}

TEST(FitPlan, RefusesPrecisely) {
  EXPECT_EQ(parameter(R"(["/a/x"])", R"(, "factor_spread": 0.1)"), "accepted");
  EXPECT_EQ(parameter(R"(["/a/z"])", R"(, "factor_spread": 0.1)"),
            "plan.json: /parameters/0/values/0: must point to numbers of profile.json, got \"/a/z\"");
  EXPECT_EQ(parameter(R"(["/a/text"])", R"(, "factor_spread": 0.1)"),
            "profile.json: /a/text: must be a number, got \"t\"");
  EXPECT_EQ(parameter("[]", R"(, "factor_spread": 0.1)"), "plan.json: /parameters/0/values: must not be empty, got []");
  EXPECT_EQ(parameter(R"(["/a/x"])", R"(, "factor_spread": 0.1, "added_spread": 1)"),
            R"(plan.json: /parameters/0: must have one of factor_spread, added_spread, got {"name":"n","why":"w",)"
            R"("values":["/a/x"],"factor_spread":0...)");
  EXPECT_EQ(parameter(R"(["/a/x"])", ""), "plan.json: /parameters/0: missing key \"factor_spread\"");
  EXPECT_EQ(parameter(R"(["/a/x"])", R"(, "factor_spread": 0)"),
            "plan.json: /parameters/0/factor_spread: must be a positive number, got 0");
  EXPECT_EQ(parameter(R"(["/a/x"])", R"(, "factor_spread": 0.1, "lowest": 2, "highest": 1)"),
            "plan.json: /parameters/0/lowest: must not be above highest, got 2");
  EXPECT_EQ(parameter(R"(["/a/x"])", R"(, "factor_spread": 0.1, "lowst": 2)"),
            "plan.json: /parameters/0: unknown key \"lowst\" (did you mean \"lowest\"?)");
  EXPECT_EQ(refusal(R"({"parameters": []})"), "plan.json: /parameters: must not be empty, got []");
  EXPECT_EQ(refusal("{}"), "plan.json: /: missing key \"parameters\"");
}

}  // namespace
}  // namespace calibration
