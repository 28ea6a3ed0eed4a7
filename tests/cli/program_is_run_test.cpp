#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "exec/step_trace.h"
#include "hw/efficiency.h"
#include "models/lower.h"
#include "sim/prediction.h"
#include "tests/exec/layout_cases.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

using models::Timeline;
using models::TimelineEvent;

/// What one stream of one rank does, op after op.
struct Doing {
  std::int64_t op = 0;
  std::string name;
  double bytes = 0, flops = 0;

  bool operator==(const Doing&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Doing& one) {
  return out << one.op << " " << one.name << " " << one.bytes << " B " << one.flops << " FLOP";
}

using Streams = std::map<models::Stream, std::vector<Doing>>;

/// Of rank `rank` of a timeline.
Streams streams_of(const Timeline& timeline, int rank) {
  Streams streams;
  for (const TimelineEvent& event : timeline.events)
    if (event.rank == rank && event.op >= 0)
      streams[event.stream].push_back({event.op, event.name, event.bytes.value, event.flops.value});
  return streams;
}

Timeline predicted(const models::Run& run) {
  const hw::Node profile = hw::Node::read_file(std::string(STEPCAST_SOURCE_DIR) + "/calibration/profiles/default.json");
  Timeline timeline;
  sim::predict(run, hw::parse_efficiency(profile, run.cluster), sim::Tier::events, &timeline);
  return timeline;
}

/// Every rank does on each stream what its pipeline rank was predicted to do, in that order.
void expect_program_is_run(const LayoutCase& one) {
  SCOPED_TRACE(testing::Message() << one);
  const models::Run run = tiny_run(one.model, one.overrides);
  const Timeline expected = predicted(run);
  const Trained trained = train(run, 1);
  const Timeline got = timeline_of(models::lower(run), trained.records);
  EXPECT_EQ(got.program_hash, expected.program_hash);
  for (const RankRecords& rank : trained.records) {
    const Streams ours = streams_of(got, rank.rank), theirs = streams_of(expected, rank.stage);
    ASSERT_FALSE(ours.empty());
    for (const auto& [stream, ops] : theirs) {
      ASSERT_TRUE(ours.contains(stream)) << "rank " << rank.rank << " stream " << static_cast<int>(stream);
      const std::vector<Doing>& done = ours.at(stream);
      for (std::size_t i = 0; i < std::min(ops.size(), done.size()); ++i)
        ASSERT_EQ(done[i], ops[i]) << "rank " << rank.rank << " stream " << static_cast<int>(stream) << " op " << i;
      ASSERT_EQ(done.size(), ops.size()) << "rank " << rank.rank << " stream " << static_cast<int>(stream);
    }
    EXPECT_EQ(ours.size(), theirs.size()) << "rank " << rank.rank;
  }
}

class ProgramIsRun : public testing::TestWithParam<LayoutCase> {};
TEST_P(ProgramIsRun, OpByOp) { expect_program_is_run(GetParam()); }

class MixedProgramIsRun : public testing::TestWithParam<int> {};
TEST_P(MixedProgramIsRun, OpByOp) { expect_program_is_run(mix(GetParam())); }

INSTANTIATE_TEST_SUITE_P(Runs, ProgramIsRun, testing::ValuesIn(listed_layouts()));
INSTANTIATE_TEST_SUITE_P(Seeds, MixedProgramIsRun, testing::Range(0, kMixes));

}  // namespace
}  // namespace exec
