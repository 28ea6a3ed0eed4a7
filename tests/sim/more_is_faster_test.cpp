// More of a resource, or less of a latency, never makes a predicted step slower, except where the order of work follows
// from times. There a faster machine may take an order that is worse: list scheduling has such anomalies (Graham, SIAM
// J. Appl. Math. 17(2), 1969). Those are zero-bubble schedules and merged forward and backward passes; they stay below
// 5 %.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "hw/node_edit.h"
#include "hw/what_if.h"
#include "models/run.h"
#include "models/schedule.h"
#include "sim/prediction.h"
#include "tests/sim/published_runs.h"

namespace sim {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;
constexpr int kStride = 4;

/// The published runs name machines of hw/.
hw::Node machine_of(const hw::Node& row) {
  return hw::Node::read_file(kRoot + "/hw/" + row.at("system").text() + ".json");
}

/// The row on a changed machine; nothing where the row is refused.
std::optional<models::Run> run_on(const hw::Node& row, const std::vector<hw::WhatIf>& changes,
                                  models::Library& library) {
  try {
    const hw::Node changed = hw::replaced(row, {{"/system", hw::changed_machine(machine_of(row), changes)}});
    return models::parse_run(changed, library, true);
  } catch (const hw::InputError&) {
    return std::nullopt;
  }
}

double step_time(const models::Run& run, const std::vector<hw::WhatIf>& changes, const models::Library& library) {
  return predict_step_time(lower_to_fit(run), default_efficiency(run, library, changes), Tier::closed_form).value;
}

bool orders_by_time(const models::Run& run) {
  return models::splits_backward(run.layout.schedule) || run.traits.ep_overlap;
}

class MoreIsFaster : public testing::TestWithParam<const char*> {};

TEST_P(MoreIsFaster, OnPublishedRuns) {
  models::Library library({kRoot});
  const std::vector<hw::WhatIf> changes = hw::parse_what_ifs({GetParam()});
  constexpr double kRounding = 1e-9, kAnomaly = 0.05;
  int compared = 0;
  for (const hw::Node& row : published_rows(library, kStride)) {
    const auto run = run_on(row, {}, library), faster = run_on(row, changes, library);
    if (!run || !faster) continue;
    ++compared;
    const double slower = step_time(*faster, changes, library) / step_time(*run, {}, library) - 1;
    EXPECT_LE(slower, orders_by_time(*run) ? kAnomaly : kRounding) << run->id;
  }
  EXPECT_GE(compared, 50);
}

INSTANTIATE_TEST_SUITE_P(Resources, MoreIsFaster,
                         testing::Values("flops=x2", "flops=+10%", "hbm=x2", "hbm=+10%", "nvlink=x2", "nvlink=+10%",
                                         "nic=x2", "nic=+10%", "host_link=x2", "memory=x2", "nvlink_latency=x0.5",
                                         "nic_latency=x0.5", "send_latency=x0.5", "dispatch_latency=x0.5",
                                         "host_time=x0.5"));

}  // namespace
}  // namespace sim
