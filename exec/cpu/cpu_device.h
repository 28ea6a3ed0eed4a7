#pragma once

#include <functional>
#include <optional>
#include <string>

#include "exec/allocator.h"
#include "exec/clock.h"
#include "exec/cpu/gemm.h"
#include "exec/device.h"
#include "exec/stream.h"

namespace exec {

/// The CPU: streams are threads, or for small runs the caller's own thread.
class CpuDevice final : public Device {
 public:
  CpuDevice(StreamMode mode, Clock& clock, std::function<void(const std::string&)> on_failure = {},
            std::optional<std::size_t> memory_limit = std::nullopt, cpu::Fp32Gemm fp32_gemm = cpu::Fp32Gemm::openblas);

  Buffer allocate(std::size_t bytes) override;
  std::size_t live_bytes() const override { return allocator_.live_bytes(); }
  std::size_t peak_bytes() const override { return allocator_.peak_bytes(); }
  void reset_peak() override { allocator_.reset_peak(); }

  void launch(OpCall call, models::Stream stream, std::int64_t id) override;
  Event record(models::Stream stream) override { return streams_.record(stream); }
  void wait(models::Stream stream, const Event& event) override { streams_.wait(stream, event); }
  void synchronize() override { streams_.synchronize_all(); }

  void fill_zero(const View& view, models::Stream stream) override;
  void copy(const View& from, const View& to, models::Stream stream) override;
  void add(const View& from, const View& to, models::Stream stream) override;
  void adamw(const AdamWStep& step, const OptimizerViews& views, std::int64_t id) override;
  void add_sum(const View& view, double factor, double* total, models::Stream stream) override;
  double sum_of_squares(const View& view) override;

  StreamPool& streams() { return streams_; }

 private:
  Allocator allocator_;
  Allocator workspace_;  ///< of ops under way; not counted
  cpu::Fp32Gemm fp32_gemm_;
  StreamPool streams_;
};

}  // namespace exec
