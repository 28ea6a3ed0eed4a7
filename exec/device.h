#pragma once

#include <cstddef>
#include <cstdint>

#include "exec/op_call.h"
#include "exec/stream.h"

namespace exec {

/// AdamW over elements side by side; decay only where the flag says so (Loshchilov & Hutter, arXiv 1711.05101).
struct AdamWStep {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  double gradient_factor = 1;  ///< of clipping
  std::int64_t step = 1;       ///< from 1, for the bias correction
};

/// What an optimizer works on, element by element.
struct OptimizerViews {
  View gradients, weights;
  View master = {};  ///< fp32 weights that are updated, and then rounded into `weights`; without a buffer: none
  View first_moments, second_moments;
};

/// What can run ops: memory, streams and kernels, and nothing that decides. One thread calls it.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  /// Throws OutOfMemory.
  virtual Buffer allocate(std::size_t bytes) = 0;
  virtual std::size_t live_bytes() const = 0;
  virtual std::size_t peak_bytes() const = 0;
  virtual void reset_peak() = 0;

  /// Launches an op on its stream. `id` names it in the records.
  virtual void launch(OpCall call, models::Stream stream, std::int64_t id) = 0;
  virtual Event record(models::Stream stream) = 0;
  virtual void wait(models::Stream stream, const Event& event) = 0;
  virtual void synchronize() = 0;

  virtual void fill_zero(const View& view, models::Stream stream) = 0;
  /// Where the formats differ, each element is rounded.
  virtual void copy(const View& from, const View& to, models::Stream stream) = 0;
  /// to += from
  virtual void add(const View& from, const View& to, models::Stream stream) = 0;
  /// `id` names it in the records.
  virtual void adamw(const AdamWStep& step, const OptimizerViews& views, std::int64_t id) = 0;
  /// *total += factor times the sum of the elements.
  virtual void add_sum(const View& view, double factor, double* total, models::Stream stream) = 0;
  /// Waits for it. Elements are summed in order.
  virtual double sum_of_squares(const View& view) = 0;
};

}  // namespace exec
