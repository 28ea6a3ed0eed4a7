#include "sim/collective_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sim {
namespace {

using models::CollectiveKind;

/// Network steps one after another (see the header).
int steps_across(CollectiveKind kind, const Placement& p) {
  const int doublings = static_cast<int>(std::bit_width(static_cast<unsigned>(p.domains - 1)));
  switch (kind) {
    case CollectiveKind::all_reduce: return 2 * doublings;
    case CollectiveKind::all_to_all: return doublings;
    case CollectiveKind::all_gather:
    case CollectiveKind::reduce_scatter:
    case CollectiveKind::broadcast: return p.members == 1 ? doublings : p.domains - 1;
  }
  return doublings;
}

/// Bytes that one rank sends over NVLink and over its NIC, per byte of payload.
struct Shares {
  double nvlink, nic;
};

Shares shares(CollectiveKind kind, const Placement& p) {
  const double n = p.size, m = p.members, domains = p.domains;
  const double inside = (m - 1) / m, across = (domains - 1) / domains / m;
  switch (kind) {
    case CollectiveKind::all_reduce: return {2 * inside, 2 * across};
    case CollectiveKind::all_to_all: return {(m - 1) / n, (n - m) / n};
    case CollectiveKind::broadcast: return {m > 1 ? 1.0 : 0.0, domains > 1 ? 1 / m : 0.0};
    case CollectiveKind::all_gather:
    case CollectiveKind::reduce_scatter: break;
  }
  return {inside, across};
}

/// The datasheet's time. Switches that add up (NVLS, SHARP) let an all-reduce send each byte once instead of twice.
hw::Seconds ideal_time(CollectiveKind kind, hw::Bytes payload, Shares share, const hw::Cluster& cluster) {
  const double once = kind == CollectiveKind::all_reduce ? 0.5 : 1;
  return std::max(once * share.nvlink * payload / cluster.nvlink, once * share.nic * payload / cluster.nic);
}

}  // namespace

Placement place(const models::Group& group, const hw::Cluster& cluster) {
  const std::int64_t span = static_cast<std::int64_t>(group.size) * group.stride;
  Placement result{.size = group.size, .members = group.size};
  if (span > cluster.nvlink_domain) {
    const auto domain = static_cast<int>(std::bit_floor(static_cast<unsigned>(cluster.nvlink_domain)));
    result.members = std::clamp(domain / group.stride, 1, group.size);
    result.domains = (group.size + result.members - 1) / result.members;
  }
  result.nodes = static_cast<int>((span + cluster.gpus_per_node - 1) / cluster.gpus_per_node);
  return result;
}

hw::BytesPerSecond nic_rate(const Placement& placement, const hw::Cluster& cluster, const hw::Efficiency& efficiency) {
  constexpr int kLeafNodes = 32;
  const double shared = placement.nodes > kLeafNodes ? cluster.oversubscription : 1;
  return efficiency.nic_fraction / shared * cluster.nic;
}

TransferTime curve_time(const hw::CollectiveCurve& curve, hw::Bytes sent) {
  const double ratio = curve.ratios.at(sent);
  return {ratio * curve.latency, ratio * (sent / curve.bandwidth + hw::Seconds{curve.slope * std::sqrt(sent.value)})};
}

TransferTime nvlink_time(models::CollectiveKind kind, int ranks, hw::Bytes sent, const hw::Efficiency& efficiency) {
  if (ranks <= 1) return {};
  const auto index = static_cast<std::size_t>(kind);
  const hw::CollectiveCurve& four = efficiency.nvlink_four[index];
  const hw::CollectiveCurve& eight = efficiency.nvlink[index];
  const hw::CollectiveCurve& curve = ranks == 2 ? efficiency.nvlink_two[index] : ranks <= 4 ? four : eight;
  TransferTime time = curve_time(curve, sent);
  if (ranks > 8) time.latency += (ranks - 8) / 4.0 * std::max(hw::Seconds{0}, eight.latency - four.latency);
  time.transfer = time.transfer / efficiency.nvlink_rate;
  return time;
}

hw::Seconds overlapped(hw::Seconds a, hw::Seconds b, const hw::Efficiency& efficiency) {
  return std::max(a, b) + efficiency.hierarchy_exposed * std::min(a, b);
}

Price collective_cost(const models::Collective& work, const Placement& placement, const hw::Cluster& cluster,
                      const hw::Efficiency& efficiency) {
  if (placement.size <= 1) return {};
  const Shares share = shares(work.kind, placement);
  const TransferTime inside = nvlink_time(work.kind, placement.members, share.nvlink * work.payload, efficiency);
  Price price{.time = inside.total(),
              .ideal = ideal_time(work.kind, work.payload, share, cluster),
              .origin = efficiency.nvlink[static_cast<std::size_t>(work.kind)].origin,
              .link = Link::nvlink};
  if (placement.domains > 1) {
    const hw::Seconds across = share.nic * work.payload / nic_rate(placement, cluster, efficiency);
    price.time = inside.latency + steps_across(work.kind, placement) * efficiency.nic_latency +
                 overlapped(inside.transfer, across, efficiency);
    price.link = Link::nic;
  }
  return price;
}

Price send_cost(hw::Bytes payload, const Placement& placement, const hw::Cluster& cluster,
                const hw::Efficiency& efficiency) {
  if (placement.size <= 1) return {};
  const bool inside = placement.domains == 1;
  const hw::Seconds ideal = payload / (inside ? cluster.nvlink : cluster.nic);
  const hw::Seconds step = inside ? hw::Seconds{0} : efficiency.nic_latency;
  return {.time = efficiency.send_latency + step + ideal / efficiency.send_fraction,
          .ideal = ideal,
          .origin = hw::Origin::roofline,
          .link = inside ? Link::nvlink : Link::nic};
}

}  // namespace sim
