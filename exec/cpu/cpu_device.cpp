#include "exec/cpu/cpu_device.h"

#include <cstring>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "exec/cpu/adamw.h"
#include "exec/cpu/elementwise.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/op_run.h"
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
void run_named(const OpCall& call) {
  const auto text = [&](const std::exception& error) { return std::string(call.op->name) + ": " + error.what(); };
  try {
    cpu::run_op(call);
  } catch (const JobFailed&) {
    throw;
  } catch (const TransportError& error) {
    throw TransportError(text(error));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(text(error));
  }
}

/// body<T>() for the view's type.
template <typename Body>
auto typed(const View& view, Body body) {
  return view.dtype == hw::DType::fp64 ? body.template operator()<double>() : body.template operator()<float>();
}

}  // namespace

CpuDevice::CpuDevice(StreamMode mode, Clock& clock, std::function<void(const std::string&)> on_failure,
                     std::optional<std::size_t> memory_limit)
    : allocator_(memory_limit), streams_(mode, clock, std::move(on_failure)) {
  cpu::use_one_gemm_thread();
}

Buffer CpuDevice::allocate(std::size_t size) { return std::make_shared<Memory>(allocator_.allocate(size)); }

void CpuDevice::launch(OpCall call, models::Stream stream, std::int64_t id) {
  streams_.launch(
      stream, [call = std::move(call)] { run_named(call); }, id);
}

void CpuDevice::fill_zero(const View& view, models::Stream stream) {
  if (view.elements() == 0) return;
  streams_.launch(stream, [view] { std::memset(view.data(), 0, bytes(view)); });
}

void CpuDevice::copy(const View& from, const View& to, models::Stream stream) {
  if (to.elements() == 0) return;
  streams_.launch(stream, [from, to] { std::memcpy(to.data(), from.data(), bytes(from)); });
}

void CpuDevice::add(const View& from, const View& to, models::Stream stream) {
  streams_.launch(stream, [from, to] {
    typed(to, [&]<typename T>() { cpu::add_to<T>(cpu::matrix<T>(to), cpu::matrix<T>(from)); });
  });
}

void CpuDevice::adamw(const AdamWStep& step, const View& gradients, const View& weights, const View& first_moments,
                      const View& second_moments, std::int64_t id) {
  const auto update = [=] {
    const cpu::AdamW rule{step.learning_rate, step.beta1, step.beta2, step.epsilon, step.weight_decay};
    typed(weights, [&]<typename T>() {
      cpu::adamw_step<T>(rule, step.step, step.gradient_factor, elements<const T>(gradients), elements<T>(weights),
                         elements<T>(first_moments), elements<T>(second_moments));
    });
  };
  streams_.launch(models::Stream::compute, update, id);
}

void CpuDevice::add_sum(const View& view, double factor, double* total, models::Stream stream) {
  streams_.launch(stream, [=] {
    typed(view, [&]<typename T>() {
      double sum = 0;
      for (const T x : elements<const T>(view)) sum += static_cast<double>(x);
      *total += factor * sum;
    });
  });
}

double CpuDevice::sum_of_squares(const View& view) {
  streams_.synchronize_all();
  return typed(view, [&]<typename T>() { return cpu::sum_of_squares<T>(elements<const T>(view)); });
}

}  // namespace exec
