#include "exec/cpu/cpu_device.h"

#include <cstring>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "exec/cpu/adamw.h"
#include "exec/cpu/bfloat16_rows.h"
#include "exec/cpu/elementwise.h"
#include "exec/cpu/float_block.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/op_run.h"
#include "exec/element.h"
#include "exec/transport.h"

namespace exec {
namespace {

template <typename T>
std::span<T> elements(const View& view) {
  return {static_cast<T*>(view.data()), static_cast<std::size_t>(view.elements())};
}

std::size_t bytes(const View& view) {
  return static_cast<std::size_t>(static_cast<double>(view.elements()) * hw::bytes_per_element(view.dtype));
}

/// A failure says in which op it was.
void run_named(const OpCall& call, Allocator& workspace, cpu::Fp32Gemm library) {
  const auto text = [&](const std::exception& error) { return std::string(call.op->name) + ": " + error.what(); };
  try {
    cpu::run_op(call, workspace, library);
  } catch (const JobFailed&) {
    throw;
  } catch (const TransportError& error) {
    throw TransportError(text(error));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(text(error));
  }
}

bool is_double(const View& view) { return view.dtype == hw::DType::fp64; }

/// From fp32 to bf16 or back.
void convert(const View& from, const View& to) {
  if (to.dtype == hw::DType::bf16) {
    cpu::narrow(static_cast<const float*>(from.data()), to.elements(), static_cast<BFloat16*>(to.data()));
  } else {
    cpu::widen(static_cast<const BFloat16*>(from.data()), to.elements(), static_cast<float*>(to.data()));
  }
}

/// In fp32, whatever is kept. The master weights, where there are any, are what is updated.
void mixed_adamw(const cpu::AdamW& rule, const AdamWStep& step, const OptimizerViews& views) {
  const bool mastered = views.master.buffer != nullptr;
  cpu::for_blocks(views.weights.elements(), [&](std::int64_t first, std::int64_t count) {
    cpu::FloatBlock gradient(views.gradients, first, count);
    cpu::FloatBlock weight(mastered ? views.master : views.weights, first, count);
    cpu::FloatBlock first_moment(views.first_moments, first, count), second_moment(views.second_moments, first, count);
    cpu::adamw_step<float>(rule, step.step, step.gradient_factor, gradient.values(), weight.values(),
                           first_moment.values(), second_moment.values());
    weight.store();
    first_moment.store();
    second_moment.store();
    if (mastered) cpu::narrow(weight.values().data(), count, static_cast<BFloat16*>(views.weights.data()) + first);
  });
}

}  // namespace

CpuDevice::CpuDevice(StreamMode mode, Clock& clock, std::function<void(const std::string&)> on_failure,
                     std::optional<std::size_t> memory_limit, cpu::Fp32Gemm fp32_gemm)
    : allocator_(memory_limit), fp32_gemm_(fp32_gemm), streams_(mode, clock, std::move(on_failure)) {
  cpu::use_one_gemm_thread();
}

Buffer CpuDevice::allocate(std::size_t size) { return std::make_shared<Memory>(allocator_.allocate(size)); }

void CpuDevice::launch(OpCall call, models::Stream stream, std::int64_t id) {
  streams_.launch(
      stream, [this, call = std::move(call)] { run_named(call, workspace_, fp32_gemm_); }, id);
}

void CpuDevice::fill_zero(const View& view, models::Stream stream) {
  if (view.elements() == 0) return;
  streams_.launch(stream, [view] { std::memset(view.data(), 0, bytes(view)); });
}

void CpuDevice::copy(const View& from, const View& to, models::Stream stream) {
  if (to.elements() == 0) return;
  streams_.launch(stream, [from, to] {
    from.dtype == to.dtype ? std::memcpy(to.data(), from.data(), bytes(from)) : (convert(from, to), nullptr);
  });
}

void CpuDevice::add(const View& from, const View& to, models::Stream stream) {
  streams_.launch(stream, [from, to] {
    if (is_double(to)) return cpu::add_to<double>(cpu::matrix<double>(to), cpu::matrix<double>(from));
    cpu::for_blocks(to.elements(), [&](std::int64_t first, std::int64_t count) {
      cpu::FloatBlock sum(to, first, count), more(from, first, count);
      cpu::add_to<float>({sum.values().data(), 1, count, count}, {more.values().data(), 1, count, count});
      sum.store();
    });
  });
}

void CpuDevice::adamw(const AdamWStep& step, const OptimizerViews& views, std::int64_t id) {
  const auto update = [=] {
    const cpu::AdamW rule{step.learning_rate, step.beta1, step.beta2, step.epsilon, step.weight_decay};
    if (!is_double(views.weights)) return mixed_adamw(rule, step, views);
    cpu::adamw_step<double>(rule, step.step, step.gradient_factor, elements<const double>(views.gradients),
                            elements<double>(views.weights), elements<double>(views.first_moments),
                            elements<double>(views.second_moments));
  };
  streams_.launch(models::Stream::compute, update, id);
}

void CpuDevice::add_sum(const View& view, double factor, double* total, models::Stream stream) {
  streams_.launch(stream, [=] {
    double sum = 0;
    for (std::int64_t i = 0; i < view.elements(); ++i) sum += element(view, i);
    *total += factor * sum;
  });
}

double CpuDevice::sum_of_squares(const View& view) {
  streams_.synchronize_all();
  if (is_double(view)) return cpu::sum_of_squares<double>(elements<const double>(view));
  if (view.dtype == hw::DType::fp32) return cpu::sum_of_squares<float>(elements<const float>(view));
  double sum = 0;
  cpu::for_blocks(view.elements(), [&](std::int64_t first, std::int64_t count) {
    cpu::FloatBlock block(view, first, count);
    sum += cpu::sum_of_squares<float>(block.values());
  });
  return sum;
}

}  // namespace exec
