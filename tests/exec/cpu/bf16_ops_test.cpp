// Ops of real programs on bf16 operands against the same ops on the same numbers in fp32: each result may differ by one
// rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>

#include "exec/cpu/op_run.h"
#include "exec/element.h"
#include "models/lower.h"
#include "tests/exec/trained.h"

namespace exec::cpu {
namespace {

using models::Function;

RankFacts facts_of(const models::Run& run) {
  RankFacts facts{.batch = run.layout.mbs, .vocabulary = run.model.vocab, .positions = {{}}};
  for (std::int32_t i = 0; i < run.layout.seq_len; ++i) facts.positions[0].push_back(i);
  facts.loss_factor = 0.125;
  return facts;
}

View new_view(Allocator& memory, const models::Tensor& tensor, hw::DType dtype) {
  const auto bytes =
      static_cast<std::size_t>(static_cast<double>(tensor.rows * tensor.columns) * hw::bytes_per_element(dtype));
  return {.buffer = std::make_shared<Memory>(memory.allocate(bytes)),
          .rows = tensor.rows,
          .columns = tensor.columns,
          .dtype = dtype};
}

/// An op twice: with the operands that the program says, and with all of them in fp32.
class BothCalls {
 public:
  BothCalls(const models::Run& run, const models::Block& block, const models::Op& op)
      : facts_(facts_of(run)), narrow_{.op = &op, .facts = &facts_}, wide_(narrow_) {
    for (const models::TensorId read : op.reads) add(tensor(block, read), narrow_.reads, wide_.reads);
    for (const models::TensorId write : op.writes) {
      if (tensor(block, write).kind == models::TensorKind::weight_gradient)
        narrow_.added_to |= static_cast<std::uint16_t>(1 << narrow_.writes.size());
      add(tensor(block, write), narrow_.writes, wide_.writes);
    }
    narrow_.loss_factor = wide_.loss_factor = facts_.loss_factor;
  }

  void expect_one_rounding() {
    run_op(wide_, memory_);
    run_op(narrow_, memory_);
    for (int i = 0; i < narrow_.writes.size(); ++i) {
      const View &got = narrow_.writes[i], &expected = wide_.writes[i];
      double worst = 0, largest = 0;
      for (std::int64_t e = 0; e < got.elements(); ++e) {
        const double right = element(expected, e), allowed = got.dtype == hw::DType::bf16 ? std::abs(right) / 256 : 0;
        largest = std::max(largest, std::abs(right));
        worst = std::max(worst, std::abs(element(got, e) - right) - allowed);
      }
      EXPECT_LE(worst, 1e-6 * largest) << "result " << i;
    }
  }

 private:
  using Views = models::InlineVector<View, 10>;

  static const models::Tensor& tensor(const models::Block& block, models::TensorId id) {
    return block.tensors[static_cast<std::size_t>(id)];
  }

  void add(const models::Tensor& tensor, Views& narrow, Views& wide) {
    if (tensor.dtype == hw::DType::int64) {
      const View ids = new_view(memory_, tensor, tensor.dtype);
      for (std::int64_t i = 0; i < ids.elements(); ++i)
        static_cast<std::int64_t*>(ids.data())[i] = static_cast<std::int64_t>(engine_() % 96);
      narrow.push_back(ids);
      return wide.push_back(ids);
    }
    const View a = new_view(memory_, tensor, tensor.dtype), b = new_view(memory_, tensor, hw::DType::fp32);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (std::int64_t i = 0; i < a.elements(); ++i) {
      set_element(a, i, uniform(engine_));
      set_element(b, i, element(a, i));
    }
    narrow.push_back(a);
    wide.push_back(b);
  }

  Allocator memory_;
  std::mt19937 engine_{7};
  RankFacts facts_;
  OpCall narrow_, wide_;
};

/// Ops that need neither other ranks nor a router's choice before them.
bool stands_alone(const models::Block& block, const models::Op& op) {
  for (const auto* ids : {&op.reads, &op.writes})
    for (const models::TensorId id : *ids)
      if (block.tensors[static_cast<std::size_t>(id)].routed != models::RoutedRows::none) return false;
  if (const auto* work = std::get_if<models::Pointwise>(&op.work))
    return work->function < Function::route || work->function > Function::expert_bias;
  return std::holds_alternative<models::Gemm>(op.work) || std::holds_alternative<models::Attention>(op.work) ||
         std::holds_alternative<models::Scan>(op.work);
}

class Bf16Ops : public testing::TestWithParam<const char*> {};

TEST_P(Bf16Ops, AreThoseOfFp32) {
  for (const hw::DType gradients : {hw::DType::fp32, hw::DType::bf16}) {
    models::Run run = tiny_run(GetParam(), R"({"precision": "bf16"})");
    run.traits.grad_dtype = gradients;
    for (const models::Block& block : models::lower(run).blocks)
      for (const auto* ops : {&block.forward, &block.backward})
        for (const models::Op& op : *ops) {
          if (!stands_alone(block, op)) continue;
          SCOPED_TRACE(testing::Message()
                       << block.label << " " << op.name << (ops == &block.forward ? "" : ", backward"));
          BothCalls(run, block, op).expect_one_rounding();
        }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Bf16Ops,
                         testing::Values("llama", "gpt2", "qwen3", "gpt-oss", "deepseek-v3", "nemotron-dense", "wan",
                                         "llama-lora"));

}  // namespace
}  // namespace exec::cpu
