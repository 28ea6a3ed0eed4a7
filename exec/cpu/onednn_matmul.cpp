#include "exec/cpu/onednn_matmul.h"

#include <stdexcept>

#ifdef STEPCAST_ONEDNN
#include <dnnl.hpp>
#include <unordered_map>

extern "C" void omp_set_num_threads(int);  // of the OpenMP that oneDNN runs on
#endif

namespace exec::cpu {

#ifdef STEPCAST_ONEDNN

namespace {

using dnnl::memory;

memory::data_type type_of(hw::DType dtype) {
  return dtype == hw::DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc factor(std::int64_t rows, std::int64_t columns, hw::DType dtype, const MatmulFactor& of) {
  const memory::dims strides = of.transposed ? memory::dims{1, of.stride} : memory::dims{of.stride, 1};
  return {{rows, columns}, type_of(dtype), strides};
}

dnnl::primitive_attr attributes(const Matmul& matmul) {
  dnnl::primitive_attr attributes;
  if (matmul.alpha != 1) attributes.set_output_scales(0, {matmul.alpha});
  if (matmul.beta != 0) {
    dnnl::post_ops sum;
    sum.append_sum(matmul.beta);
    attributes.set_post_ops(sum);
  }
  return attributes;
}

}  // namespace

bool has_onednn(hw::DType input) {
  // Each instruction set has the bits of those below it.
  static const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  constexpr auto kNeeded = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  return input != hw::DType::bf16 || (has & kNeeded) == kNeeded;
}

void onednn_matmul(const Matmul& matmul) {
  omp_set_num_threads(1);  // of this thread: a rank is one thread
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::desc a = factor(matmul.m, matmul.k, matmul.input, matmul.a);
  const memory::desc b = factor(matmul.k, matmul.n, matmul.input, matmul.b);
  const memory::desc c({matmul.m, matmul.n}, type_of(matmul.output), memory::dims{matmul.c_stride, 1});
  const memory::desc bias = matmul.bias == nullptr
                                ? memory::desc()
                                : memory::desc({1, matmul.n}, type_of(matmul.input), memory::dims{matmul.n, 1});
  // oneDNN keeps what it has generated for a shape.
  const dnnl::matmul product(
      dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, bias, c), attributes(matmul), engine));
  const auto operand = [&](const memory::desc& desc, const void* data) {
    return memory(desc, engine, const_cast<void*>(data));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  };
  std::unordered_map<int, memory> operands = {{DNNL_ARG_SRC, operand(a, matmul.a.data)},
                                              {DNNL_ARG_WEIGHTS, operand(b, matmul.b.data)},
                                              {DNNL_ARG_DST, operand(c, matmul.c)}};
  if (matmul.bias != nullptr) operands[DNNL_ARG_BIAS] = operand(bias, matmul.bias);
  dnnl::stream stream(engine);
  product.execute(stream, operands);
  stream.wait();
}

#else

bool has_onednn(hw::DType) { return false; }

void onednn_matmul(const Matmul&) { throw std::logic_error("this build has no oneDNN"); }

#endif

}  // namespace exec::cpu
