#include "exec/cpu/op_run.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace exec::cpu {
namespace {

template <typename T>
struct Run {
  const OpCall& call;

  void operator()(const models::Gemm& work) const { run_gemm<T>(call, work); }
  void operator()(const models::GroupedGemm& work) const { run_grouped_gemm<T>(call, work); }
  void operator()(const models::ExpertExchange& work) const { run_expert_exchange<T>(call, work); }
  void operator()(const models::Attention& work) const { run_attention<T>(call, work); }
  void operator()(const models::Scan& work) const { run_scan<T>(call, work); }
  void operator()(const models::Pointwise& work) const { run_pointwise<T>(call, work); }
  void operator()(const models::Collective& work) const { run_collective<T>(call, work); }
  void operator()(const models::SendRecv& work) const { run_ring_step<T>(call, work); }
  void operator()(const models::TpCopy&) const {
    if (call.reads[0].data() != call.writes[0].data())
      std::memcpy(call.writes[0].data(), call.reads[0].data(),
                  static_cast<std::size_t>(call.reads[0].elements()) * sizeof(T));
  }
  void operator()(const models::HostSync&) const {}  // the host waits for each router as it is
  template <typename Other>
  void operator()(const Other&) const {
    throw std::invalid_argument(std::string("no CPU kernel for op ") + call.op->name);
  }
};

/// As Run has it.
struct HasKernel {
  bool operator()(const models::Pointwise& work) const { return work.function != models::Function::none; }
  bool operator()(const models::Collective& work) const { return work.kind != models::CollectiveKind::broadcast; }
  bool operator()(const models::HostCopy&) const { return false; }
  bool operator()(const models::OptimizerStep&) const { return false; }
  template <typename Other>
  bool operator()(const Other&) const {
    return true;
  }
};

/// fp64 if any operand is: a call has one floating-point type.
bool wide(const OpCall& call) {
  for (const View& view : call.writes)
    if (view.dtype == hw::DType::fp64) return true;
  return false;
}

}  // namespace

void run_op(const OpCall& call) {
  wide(call) ? std::visit(Run<double>{call}, call.op->work) : std::visit(Run<float>{call}, call.op->work);
}

bool has_kernel(const models::Op& op) { return std::visit(HasKernel{}, op.work); }

}  // namespace exec::cpu
