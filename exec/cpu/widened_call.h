#pragma once

#include "exec/allocator.h"
#include "exec/op_call.h"

namespace exec::cpu {

/// A call whose bf16 operands stand in fp32, so that a kernel for float runs it. The copies live as long as this does.
class WidenedCall {
 public:
  /// Copies what is read, and what is added to or written in part.
  WidenedCall(const OpCall& call, Allocator& workspace);

  const OpCall& call() const { return wide_; }
  /// Rounds the results into the operands of the original call.
  void store() const;

 private:
  const OpCall& narrow_;
  OpCall wide_;
};

}  // namespace exec::cpu
