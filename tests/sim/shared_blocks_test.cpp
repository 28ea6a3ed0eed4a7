// Layouts that share blocks are priced as predict() prices each of them alone.
#include "sim/shared_blocks.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "hw/node.h"
#include "models/open_run.h"
#include "models/run.h"
#include "models/schedule.h"
#include "sim/prediction.h"
#include "tests/sim/random_runs.h"

namespace sim {
namespace {

const std::string kRoot = STEPCAST_SOURCE_DIR;

models::LayoutKeys keys_of(const models::Layout& layout) {
  return {.gpus = layout.gpus,
          .tp = layout.tp,
          .pp = layout.pp,
          .vp = layout.vp,
          .cp = layout.cp,
          .ep = layout.ep,
          .etp = layout.etp,
          .sp = layout.sp,
          .fsdp = layout.fsdp,
          .zero = layout.zero,
          .schedule = layout.schedule,
          .mbs = layout.mbs};
}

/// Layouts with the blocks of `first`, drawn at random; legal or not.
class Neighbours {
 public:
  Neighbours(const models::LayoutKeys& first, std::uint64_t seed) : first_(first), random_(seed) {}

  models::LayoutKeys next() {
    models::LayoutKeys keys = first_;
    const bool split = models::splits_backward(first_.schedule);
    keys.pp = 1 << below(5);
    keys.vp = keys.pp > 1 && below(2) ? 1 + below(6) : 1;
    keys.gpus = first_.tp * first_.cp * keys.pp << below(6);
    keys.schedule = keys.vp > 1 ? models::Schedule::interleaved
                    : below(4)  ? models::Schedule::one_f_one_b
                                : models::Schedule::gpipe;
    if (split) keys.schedule = keys.vp == 2 ? models::Schedule::zb_v : models::Schedule::zb_1p;
    keys.fsdp = below(2) ? 0 : 1 << below(6);
    keys.zero = static_cast<models::Zero>((keys.fsdp > 0 ? 2 : 0) + below(2));
    return keys;
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  models::LayoutKeys first_;
  std::mt19937_64 random_;
};

/// Forecasts neighbours of one run in one SharedBlocks, each against predict().
int compare_neighbours(const hw::Node& description, models::Library& library, std::uint64_t seed,
                       SchedulePlans& plans) {
  const models::Run parsed = models::parse_run(description, library, false);
  const models::OpenRun open(description, library);
  const hw::Efficiency efficiency =
      hw::parse_efficiency(hw::Node::read_file(kRoot + "/calibration/profiles/default.json"), parsed.cluster);
  models::Run run = open.base();
  SharedBlocks shared(run, efficiency, plans);
  Neighbours neighbours(keys_of(parsed.layout), seed);
  int compared = 0;
  for (int drawn = 0; drawn < 40; ++drawn) {
    if (open.lay_out(neighbours.next(), run)) continue;
    const Forecast forecast = shared.forecast(run);
    const Prediction prediction = predict(run, efficiency, Tier::closed_form);
    EXPECT_NEAR(forecast.step_time / prediction.step_time, 1, 1e-9) << description.dump();
    for (const bool closer : {false, true})
      EXPECT_LE(shared.least_step_time(closer), forecast.step_time) << description.dump();
    EXPECT_NEAR(forecast.peak / prediction.memory.peak, 1, 1e-9) << description.dump();
    ++compared;
  }
  return compared;
}

TEST(SharedBlocks, ForecastAsPredict) {
  models::Library library({kRoot});
  SchedulePlans plans;
  RandomRuns descriptions(7);
  int compared = 0;
  for (std::uint64_t drawn = 0; drawn < 600 && compared < 3000; ++drawn) {
    const hw::Node description = hw::Node::parse(descriptions.next(), "random");
    try {
      compared += compare_neighbours(description, library, drawn, plans);
    } catch (const hw::InputError&) {  // not legal
    }
  }
  EXPECT_GE(compared, 2000);
}

}  // namespace
}  // namespace sim
