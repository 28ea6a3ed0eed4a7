#include "exec/cpu/widened_call.h"

#include <bit>
#include <cstddef>
#include <memory>
#include <variant>

#include "exec/cpu/bfloat16_rows.h"

namespace exec::cpu {
namespace {

/// Room for a view's elements in fp32. Sizes are powers of two: rows of experts change from call to call.
View room_for(const View& view, Allocator& workspace) {
  const std::size_t bytes = std::bit_ceil(static_cast<std::size_t>(view.elements()) * sizeof(float));
  View wide = view;
  wide.dtype = hw::DType::fp32;
  wide.offset = 0;
  wide.buffer = view.elements() == 0 ? nullptr : std::make_shared<Memory>(workspace.allocate(bytes));
  return wide;
}

void load(const View& from, const View& wide) {
  widen(static_cast<const BFloat16*>(from.data()), from.elements(), static_cast<float*>(wide.data()));
}

/// Whether an op leaves columns of what it writes as they are: other ops write those.
bool writes_some_columns(const models::Op& op) {
  if (const auto* work = std::get_if<models::Pointwise>(&op.work))
    return std::holds_alternative<models::ColumnRange>(work->detail);
  return std::holds_alternative<models::Scan>(op.work);
}

}  // namespace

WidenedCall::WidenedCall(const OpCall& call, Allocator& workspace) : narrow_(call), wide_(call) {
  for (View& view : wide_.reads) {
    if (view.dtype != hw::DType::bf16) continue;
    const View from = view;
    view = room_for(from, workspace);
    load(from, view);
  }
  const bool some_columns = writes_some_columns(*call.op);
  for (int i = 0; i < wide_.writes.size(); ++i) {
    View& view = wide_.writes[i];
    if (view.dtype != hw::DType::bf16) continue;
    const View to = view;
    view = room_for(to, workspace);
    if (some_columns || call.adds_to(i)) load(to, view);
  }
}

void WidenedCall::store() const {
  for (int i = 0; i < narrow_.writes.size(); ++i) {
    const View &to = narrow_.writes[i], &from = wide_.writes[i];
    if (to.dtype != hw::DType::bf16) continue;
    narrow(static_cast<const float*>(from.data()), to.elements(), static_cast<BFloat16*>(to.data()));
  }
}

}  // namespace exec::cpu
