#pragma once

#include "calibration/fit_report.h"
#include "calibration/operator_table.h"
#include "hw/node.h"

namespace calibration {

/// Expert dispatch and combine, from `deepep_normal.csv` (system, nodes, ep_size, hidden, tokens_per_rank, topk,
/// num_experts, dispatch_sms, dispatch_us, dispatch_notify_us, combine_us, combine_notify_us) and
/// `moe_alltoall_nvlink_gb200.csv` (system, kernel, phase, dtype, hidden, topk, num_experts, ep_size, tokens_per_rank,
/// time_us). Gives dispatch_nvlink_fraction of each machine, dispatch_latency_us and dispatch_nic_fraction of all.
/// Volumes as in sim/expert_exchange_cost.h with evenly chosen experts; dispatch in fp8, combine in bf16.
///   prior  profile whose nic_latency_us and hierarchy_exposed hold
FamilyFit fit_dispatch(const OperatorTables& tables, const hw::Node& prior);

}  // namespace calibration
