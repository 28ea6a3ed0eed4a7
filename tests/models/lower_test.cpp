#include "models/lower.h"

#include <gtest/gtest.h>

#include <string>

#include "hw/node.h"
#include "models/model_flops.h"
#include "models/run.h"

namespace models {
namespace {

/// A run of the source tree's own descriptions; `more` is spliced into the object.
Run run_of(const std::string& model, const std::string& more, const std::string& precision = "bf16") {
  Library library({STEPCAST_SOURCE_DIR});
  const std::string text = R"({"model": ")" + model + R"(", "system": "h100", "precision": ")" + precision + R"(", )" + more + "}";
  return parse_run(hw::Node::parse(text, "test"), library, false);
}

struct Totals {
  double forward = 0, input_grad = 0, weight_grad = 0, replay = 0;
};

/// Model FLOPs (matmuls, attention, scans) of one microbatch over all ranks of the layout.
Totals flops_of(const Run& run, bool attention = true) {
  const StepProgram program = lower(run);
  const auto flops = [attention](const Block& block, const Op& op) {
    const bool skipped = !attention && std::holds_alternative<Attention>(op.work);
    return skipped ? 0.0 : op_size(block, op).flops.value;
  };
  Totals totals;
  for (const ChunkProgram& chunk : program.chunks) {
    for (const BlockRun& part : chunk.blocks) {
      const Block& block = program.blocks[static_cast<std::size_t>(part.block)];
      for (const Op& op : block.forward) totals.forward += part.count * flops(block, op);
      for (const Op& op : block.backward) {
        double& sum = op.pass == Pass::replay ? totals.replay : op.weight_gradient ? totals.weight_grad : totals.input_grad;
        sum += part.count * flops(block, op);
      }
    }
  }
  const double ranks = run.layout.tp * run.layout.cp;
  for (double* sum : {&totals.forward, &totals.input_grad, &totals.weight_grad, &totals.replay}) *sum *= ranks;
  return totals;
}

double model_flops(const Run& run) {
  return model_flops_per_token(run.model, run.layout.seq_len, run.layout.tp, FlopsConvention::causal).value *
         static_cast<double>(run.layout.seq_len) * run.layout.mbs;
}

struct Case {
  const char* model;
  const char* layout;
  double tolerance;
};

class ProgramFlops : public testing::TestWithParam<Case> {};

// The forward ops' FLOPs are a third of the model's by the closed formula: every matmul is in the program, sharded
// right. The tolerance covers routers, small projections and the diagonal of causal masks, which the formula leaves
// out.
TEST_P(ProgramFlops, ForwardIsAThirdOfTheModel) {
  const models::Run run = run_of(GetParam().model, GetParam().layout);
  EXPECT_NEAR(flops_of(run).forward / (model_flops(run) / 3), 1, GetParam().tolerance);
}

// Input and weight gradients each cost what the forward matmuls cost. Attention is left out: its fused backward
// recomputes the scores, five products against two.
TEST_P(ProgramFlops, BackwardOfMatmulsIsTwiceForward) {
  const models::Run run = run_of(GetParam().model, GetParam().layout);
  const Totals totals = flops_of(run, false);
  EXPECT_NEAR((totals.input_grad + totals.weight_grad) / totals.forward, 2, 0.02);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ProgramFlops,
    testing::Values(
        Case{"llama3-8b", R"("gpus": 8, "seq_len": 8192, "gbs": 8, "mbs": 1)", 0.002},
        Case{"llama3-70b", R"("gpus": 64, "tp": 4, "sp": true, "pp": 4, "vp": 5, "seq_len": 8192, "gbs": 64, "mbs": 1)",
             0.002},
        Case{"llama3-70b", R"("gpus": 64, "tp": 2, "sp": true, "cp": 4, "seq_len": 8192, "gbs": 64, "mbs": 1)", 0.03},
        Case{"gpt3-175b", R"("gpus": 64, "tp": 8, "pp": 8, "seq_len": 2048, "gbs": 64, "mbs": 1)", 0.003},
        Case{"deepseek-v3", R"("gpus": 64, "ep": 64, "seq_len": 4096, "gbs": 64, "mbs": 1)", 0.01},
        Case{"qwen3-30b-a3b", R"("gpus": 8, "ep": 8, "seq_len": 4096, "gbs": 64, "mbs": 4)", 0.01},
        Case{"gpt-oss-20b", R"("gpus": 8, "ep": 8, "seq_len": 4096, "gbs": 64, "mbs": 2)", 0.01},
        Case{"wan2.1-14b", R"("gpus": 8, "seq_len": 37440, "gbs": 8, "mbs": 1)", 0.01}));

TEST(Lower, FullRecomputeReplaysTheForward) {
  const models::Run run = run_of("llama3-8b", R"("gpus": 8, "seq_len": 4096, "gbs": 8, "mbs": 1,
    "framework": "megatron-lm", "recompute": {"mode": "full", "layers": 32})");
  const Totals totals = flops_of(run);
  const double head = 2.0 * 4096 * 4096 * 128256;
  EXPECT_NEAR(totals.replay / (totals.forward - head), 1, 0.01);
}

// Korthikanti et al., arXiv 2205.05198, equation 2 and table 2: a layer keeps s*b*h*(34 + 5*a*s/h) bytes without
// recompute; with tp and sequence parallelism all of it is divided by t.
TEST(Lower, KeptBytesOfAGptLayerAreThePapers) {
  for (const auto& [tp, sp] : {std::pair{1, false}, std::pair{8, true}}) {
    const models::Run run = run_of("megatron-22b", R"("gpus": 8, "framework": "megatron-lm", "release": "2022",
      "recompute": {"mode": "none"}, "zero": 0, "seq_len": 2048, "gbs": 8, "mbs": 1, "tp": )" +
                                               std::to_string(tp) + R"(, "sp": )" + (sp ? "true" : "false"), "fp16");
    const StepProgram program = lower(run);
    const double sbh = 2048.0 * 6144;
    const double expected = sbh * (34 + 5.0 * 64 * 2048 / 6144) / tp;
    for (const Block& block : program.blocks)
      if (block.kind == BlockKind::layer) {
        EXPECT_NEAR(block.kept.value / expected, 1, 0.03);
      }
  }
}

TEST(Lower, FullRecomputeKeepsOnlyTheInput) {
  const models::Run run = run_of("llama3-8b", R"("gpus": 8, "seq_len": 4096, "gbs": 16, "mbs": 2,
    "recompute": {"mode": "full", "layers": 32})");
  const StepProgram program = lower(run);
  for (const Block& block : program.blocks)
    if (block.kind == BlockKind::layer) {
      EXPECT_EQ(block.kept.value, 2.0 * 4096 * 4096 * 2);
    }
}

TEST(Lower, NeedsAreEarlierAndOperandsExist) {
  const models::Run run = run_of("deepseek-v3", R"("gpus": 1024, "framework": "megatron-bridge", "release": "26.06", "tp": 2,
    "sp": true, "pp": 8, "vp": 4, "ep": 64, "seq_len": 4096, "gbs": 8192, "mbs": 1,
    "extra": {"pp_layout": "Et|(tt|)*30mL"}, "recompute": {"mode": "selective", "modules": ["mla_up_proj", "mlp"]})");
  const StepProgram program = lower(run);
  EXPECT_EQ(program.chunks.size(), 32U);
  for (const Block& block : program.blocks) {
    for (const auto* ops : {&block.forward, &block.backward}) {
      for (std::size_t i = 0; i < ops->size(); ++i) {
        const Op& op = (*ops)[i];
        for (const auto need : op.needs) EXPECT_LT(static_cast<std::size_t>(need), i) << block.label << " " << op.name;
        for (const TensorId id : op.reads) EXPECT_LT(static_cast<std::size_t>(id), block.tensors.size());
        for (const TensorId id : op.writes) EXPECT_LT(static_cast<std::size_t>(id), block.tensors.size());
      }
    }
  }
}

// Every tensor that backward reads was kept, made again or made in backward: nothing is read that is not there.
TEST(Lower, BackwardReadsOnlyWhatIsThere) {
  for (const char* recompute : {R"({"mode": "none"})", R"({"mode": "full", "layers": 61})",
                                R"({"mode": "selective", "modules": ["mla_up_proj", "mlp", "moe_act", "layernorm"]})",
                                R"({"mode": "selective", "modules": ["moe", "core_attn"]})"}) {
    const models::Run run = run_of("deepseek-v3", std::string(R"("gpus": 64, "ep": 64, "seq_len": 4096, "gbs": 64, "mbs": 1,
      "framework": "megatron-bridge", "release": "26.06", "recompute": )") + recompute);
    const StepProgram program = lower(run);
    for (const Block& block : program.blocks) {
      std::vector<bool> there(block.tensors.size(), false);
      for (std::size_t t = 0; t < there.size(); ++t) {
        const Tensor& tensor = block.tensors[t];
        const bool seed = tensor.gradient_of == block.output && block.output != kNoTensor;
        there[t] = tensor.kept || seed || tensor.kind == TensorKind::weight;
      }
      for (const Op& op : block.backward) {
        for (const TensorId id : op.reads)
          EXPECT_TRUE(there[static_cast<std::size_t>(id)])
              << recompute << " " << block.label << ": " << op.name << " reads "
              << block.tensors[static_cast<std::size_t>(id)].name;
        for (const TensorId id : op.writes) there[static_cast<std::size_t>(id)] = true;
      }
    }
  }
}

}  // namespace
}  // namespace models
