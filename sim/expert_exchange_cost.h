#pragma once

#include "hw/cluster.h"
#include "hw/efficiency.h"
#include "models/step_program.h"
#include "sim/collective_cost.h"
#include "sim/price.h"

namespace sim {

/// Expert dispatch or combine over the ep group, n ranks in D domains of m. T tokens, R distinct ranks and N distinct
/// domains a token, b bytes a copy, k rows a token.
///   deepep, hybridep  one copy per rank, per domain across domains. Over NVLink T R b (1 - 1/n) inside one domain,
///                     else T R b (1 - 1/m) (forwarding what came over the NIC); over the NIC T N b (1 - 1/D): copies
///                     to oneself are not sent. Both pipelined (the longer and a share of the shorter), plus
///                     dispatch_latency and two network steps (token counts, rows) across domains
///   all_to_all        NCCL all-to-all of T k b times all_to_all_time (uneven rows)
///   all_gather        all ranks' tokens to everybody, n T b; combine reduce-scatters them
/// Source: docs/cost_model.md, expert exchange.
Price expert_exchange_cost(const models::ExpertExchange& work, const Placement& placement, const hw::Cluster& cluster,
                           const hw::Efficiency& efficiency);

}  // namespace sim
