#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hw/units.h"
#include "models/step_program.h"

namespace models {

/// One op of an expanded step as it ran or is predicted to run.
struct TimelineEvent {
  int rank = 0;  ///< representative rank: the first of pipeline stage `rank`
  Stream stream = Stream::compute;
  std::string name;  ///< `layer 12 attention qkv`
  const char* kind = "";
  hw::Seconds start, end;
  hw::Bytes bytes;
  hw::Flops flops;
  int microbatch = -1;
  std::int64_t op = 0;  ///< id: task index and op in block, the same in simulator and executor
};

struct Timeline {
  std::vector<TimelineEvent> events;
  std::uint64_t program_hash = 0;
};

/// `layer 12`; only the kind where `layer` is negative.
std::string block_name(BlockKind kind, int layer);

/// Name, kind, stream and sizes of an op at `where`; who runs it and when is left to the caller.
TimelineEvent describe_op(const Block& block, const Op& op, const std::string& where);

/// Of the ops' names and sizes: two programs with other ops differ.
std::uint64_t program_hash(const StepProgram& program);

/// Chrome trace JSON that Perfetto opens: pid = rank, tid = stream, microseconds. `ranks_are` names a rank's track.
std::string to_chrome_trace(const Timeline& timeline, const std::string& run, const std::string& clock,
                            const std::string& ranks_are = "pipeline rank");

}  // namespace models
