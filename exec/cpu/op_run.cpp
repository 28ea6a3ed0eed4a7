#include "exec/cpu/op_run.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "exec/cpu/widened_call.h"

namespace exec::cpu {
namespace {

template <typename T>
struct Run {
  const OpCall& call;
  Fp32Gemm library = Fp32Gemm::openblas;

  void operator()(const models::Gemm& work) const { run_gemm<T>(call, work, library); }
  void operator()(const models::GroupedGemm& work) const { run_grouped_gemm<T>(call, work, library); }
  void operator()(const models::ExpertExchange& work) const { run_expert_exchange(call, work); }
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

/// bf16 operands, and fp32 ones among them. What only moves elements and what multiplies matrices works on them as they
/// are; kernels that compute see them in fp32.
struct NarrowRun {
  const OpCall& call;
  Allocator& workspace;

  void operator()(const models::Gemm& work) const { run_gemm<BFloat16>(call, work, Fp32Gemm::onednn); }
  void operator()(const models::GroupedGemm& work) const { run_grouped_gemm<BFloat16>(call, work, Fp32Gemm::onednn); }
  void operator()(const models::ExpertExchange& work) const { run_expert_exchange(call, work); }
  void operator()(const models::Collective& work) const { run_collective<BFloat16>(call, work); }
  void operator()(const models::SendRecv& work) const { run_ring_step<BFloat16>(call, work); }
  void operator()(const models::TpCopy& work) const { Run<BFloat16>{call}(work); }
  void operator()(const models::Pointwise& work) const {
    if (work.function == models::Function::embedding && !work.backward) return look_up<BFloat16>(call);
    compute(work);
  }
  template <typename Other>
  void operator()(const Other& work) const {
    compute(work);
  }

 private:
  template <typename Work>
  void compute(const Work& work) const {
    const WidenedCall wide(call, workspace);
    Run<float>{wide.call()}(work);
    wide.store();
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

bool any(const OpCall& call, hw::DType dtype) {
  for (const auto* views : {&call.reads, &call.writes})
    for (const View& view : *views)
      if (view.dtype == dtype) return true;
  return false;
}

}  // namespace

void run_op(const OpCall& call, Allocator& workspace, Fp32Gemm library) {
  if (any(call, hw::DType::bf16)) return std::visit(NarrowRun{call, workspace}, call.op->work);
  any(call, hw::DType::fp64) ? std::visit(Run<double>{call}, call.op->work)
                             : std::visit(Run<float>{call, library}, call.op->work);
}

bool has_kernel(const models::Op& op) { return std::visit(HasKernel{}, op.work); }

}  // namespace exec::cpu
