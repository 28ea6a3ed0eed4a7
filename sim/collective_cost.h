#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/price.h"

namespace sim {

/// Where the ranks of one group lie on the machine.
struct Placement {
  int size = 1;     ///< ranks
  int members = 1;  ///< of them in one NVLink domain
  int domains = 1;  ///< NVLink domains that they span
  int nodes = 1;    ///< nodes between the first and the last
};

/// Rank order fills a domain before the next one. A group that does not fit into one domain counts on the largest power
/// of two of its GPUs: layouts are powers of two, so of an NVL72 rack they fill 64 and leave 8 idle.
Placement place(const models::Group& group, const hw::Cluster& cluster);

/// Bandwidth of one rank's NIC that its group gets: the achieved share, over the fabric's oversubscription where the
/// group spans more than 32 nodes (one leaf a rail; DGX SuperPOD scalable unit).
hw::BytesPerSecond nic_rate(const Placement& placement, const hw::Cluster& cluster, const hw::Efficiency& efficiency);

/// What a transfer takes in two parts: the first costs even an empty message.
struct TransferTime {
  hw::Seconds latency, transfer;
  hw::Seconds total() const { return latency + transfer; }
};

/// What a curve says of `sent` bytes on an idle machine.
TransferTime curve_time(const hw::CollectiveCurve& curve, hw::Bytes sent);

/// One collective of `ranks` ranks inside a domain.
///   sent  bytes that each rank sends: 2(n-1)/n of the payload for all_reduce, (n-1)/n for the others, all of it for
///         broadcast
/// The curve of 2, 4 or 8 ranks, times its table of measured over fitted time at that size; beyond 8 the latency grows
/// per rank as it does from 4 to 8.
TransferTime nvlink_time(models::CollectiveKind kind, int ranks, hw::Bytes sent, const hw::Efficiency& efficiency);

/// NVLink part and NIC part of a hierarchical transfer are pipelined: the longer, and a share of the shorter.
hw::Seconds overlapped(hw::Seconds a, hw::Seconds b, const hw::Efficiency& efficiency);

/// Inside one domain the curve. Across domains, D of them with m ranks each, hierarchically: inside each domain as
/// above, across it every rank's NIC carries 1/m of the domain's traffic, payload * (D-1)/D / m (twice for all_reduce;
/// all_to_all: the rows whose target is outside, payload * (n-m)/n). Latency per network step: a tree's 2 log2 D for
/// all_reduce; a ring's D-1 for all_gather, reduce_scatter, broadcast, but log2 D where m = 1 (PAT, NCCL 2.23 release
/// notes); log2 D for all_to_all. Sources: docs/cost_model.md, collectives.
Price collective_cost(const models::Collective& work, const Placement& placement, const hw::Cluster& cluster,
                      const hw::Efficiency& efficiency);

/// One pair exchanges `payload` each way, over NVLink where the whole group lies in one domain, else (some pair
/// crosses, and the ring waits for it) over the NIC with one network step.
Price send_cost(hw::Bytes payload, const Placement& placement, const hw::Cluster& cluster,
                const hw::Efficiency& efficiency);

}  // namespace sim
