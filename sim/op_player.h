#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "hw/units.h"
#include "models/step_program.h"
#include "sim/cost.h"

namespace sim {

/// One op as the player sees it: what it takes alone, where, and what it waits for.
struct PlayedOp {
  hw::Seconds time;  ///< alone on the machine
  hw::Seconds host;  ///< host time to issue it
  models::Stream stream = models::Stream::compute;
  Link link = Link::none;
  std::int8_t chunks = 1;  ///< pipelined with the ops it needs (models::Op::chunks)
  bool sync = false;       ///< host waits until everything issued before has finished
  models::InlineVector<std::int16_t, 6> needs;
};

/// Ops of one host thread in issue order. Two lanes (forward of one microbatch, backward of another) share the device:
/// `Stream::compute` runs one op at a time and stays with a lane until that has to wait, then goes to the lowest lane
/// that need not: attention of one microbatch hides the combine of the other, and so on, as Megatron-LM's combined
/// forward and backward are ordered.
using Lane = std::span<const PlayedOp>;

struct Span {
  hw::Seconds start, end;
};

/// Result of playing lanes from an idle machine at time 0.
struct Play {
  hw::Seconds makespan;
  hw::Seconds compute_busy;                             ///< some compute op ran
  hw::Seconds exposed_comm;                             ///< a communication op ran and no compute op
  hw::Seconds exposed_host;                             ///< neither ran: the device waits for the host
  hw::Seconds slowdown;                                 ///< compute time lost to communication running beside it
  hw::Seconds main_end;                                 ///< end of the last op that is not on Stream::dp_comm
  std::array<hw::Seconds, models::kStreams> exposed{};  ///< exposed_comm by stream, equal parts where several ran
  std::vector<std::vector<Span>> spans;                 ///< per lane and op, if asked for
};

/// How ops slow each other down while they overlap.
struct Sharing {
  double nvlink_sm_share = 0, nic_sm_share = 0;  ///< taken from compute while such a transfer runs
};

/// Fluid simulation: each stream of each lane runs its ops in order; an op starts when its stream is free, its needs
/// have ended and the host has issued it. makespan = compute op times + slowdown + exposed_comm + exposed_host.
///   host       a lane's ops are issued one after another, each after its `host` time; a `sync` op is issued when all
///              ops before it have ended, and the host goes on when it has ended itself
///   compute    ops on `compute` and `side` without a link; k of them at once progress at 1/k each, slowed by the
///              larger share (not the sum: NCCL channels of both kinds run on the same SMs) of the transfers beside
///              them
///   transfers  those on one link share it equally
///   chunks     an op with chunks > 1 may start when each unfinished need has done 1/chunks of its work; its own last
///              1/chunks of work waits for the end of all of them
/// Deterministic. O(ops * streams in use), a handful of allocations in all.
Play play(std::span<const Lane> lanes, const Sharing& sharing, bool keep_spans);

}  // namespace sim
