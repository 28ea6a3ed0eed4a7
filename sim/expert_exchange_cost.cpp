#include "sim/expert_exchange_cost.h"

#include <algorithm>

namespace sim {
namespace {

Price dispatcher_cost(const models::ExpertExchange& work, const Placement& placement, const hw::Cluster& cluster,
                      const hw::Efficiency& efficiency) {
  const double tokens = static_cast<double>(work.tokens);
  const double neighbours = placement.domains == 1 ? placement.size : placement.members;
  const hw::Bytes nvlink = tokens * work.ranks_per_token * (1 - 1 / neighbours) * work.bytes_per_token;
  const hw::Bytes nic = tokens * work.nodes_per_token * (1 - 1.0 / placement.domains) * work.bytes_per_token;
  Price price{.time = efficiency.dispatch_latency + nvlink / efficiency.dispatch_nvlink,
              .ideal = std::max(nvlink / cluster.nvlink, nic / cluster.nic),
              .origin = hw::Origin::curve,
              .link = Link::nvlink};
  if (placement.domains > 1) {
    // nic_rate holds NCCL's share of the NIC; these kernels have their own.
    const hw::BytesPerSecond rate =
        efficiency.dispatch_nic_fraction / efficiency.nic_fraction * nic_rate(placement, cluster, efficiency);
    price.time = efficiency.dispatch_latency + 2.0 * efficiency.nic_latency +
                 overlapped(nvlink / efficiency.dispatch_nvlink, nic / rate, efficiency);
    price.link = Link::nic;
  }
  return price;
}

}  // namespace

Price expert_exchange_cost(const models::ExpertExchange& work, const Placement& placement, const hw::Cluster& cluster,
                           const hw::Efficiency& efficiency) {
  using models::CollectiveKind;
  if (placement.size <= 1) return {};
  const double tokens = static_cast<double>(work.tokens);
  models::Collective collective{.kind = CollectiveKind::all_to_all, .group = models::GroupKind::ep, .payload = {}};
  switch (work.dispatcher) {
    case models::Dispatcher::deepep:
    case models::Dispatcher::hybridep: return dispatcher_cost(work, placement, cluster, efficiency);
    case models::Dispatcher::all_to_all: {
      collective.payload = tokens * work.rows_per_token * work.bytes_per_token;
      Price price = collective_cost(collective, placement, cluster, efficiency);
      price.time = std::max(price.ideal, efficiency.all_to_all_time * price.time);
      return price;
    }
    case models::Dispatcher::all_gather:
      collective.kind = work.combine ? CollectiveKind::reduce_scatter : CollectiveKind::all_gather;
      collective.payload = tokens * placement.size * work.bytes_per_token;
      return collective_cost(collective, placement, cluster, efficiency);
  }
  return {};
}

}  // namespace sim
