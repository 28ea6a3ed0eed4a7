#include "models/lower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "hw/node.h"
#include "models/model_flops.h"
#include "models/run.h"

namespace models {
namespace {

/// A run of the source tree's own descriptions; `more` is spliced into the object.
Run run_of(const std::string& model, const std::string& more, const std::string& precision = "bf16") {
  Library library({STEPCAST_SOURCE_DIR});
  const std::string text =
      R"({"model": ")" + model + R"(", "system": "h100", "precision": ")" + precision + R"(", )" + more + "}";
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
        double& sum = op.pass == Pass::replay ? totals.replay
                      : op.weight_gradient    ? totals.weight_grad
                                              : totals.input_grad;
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
    const models::Run run = run_of("megatron-22b",
                                   R"("gpus": 8, "framework": "megatron-lm", "release": "2022",
      "recompute": {"mode": "none"}, "zero": 0, "seq_len": 2048, "gbs": 8, "mbs": 1, "tp": )" +
                                       std::to_string(tp) + R"(, "sp": )" + (sp ? "true" : "false"),
                                   "fp16");
    const StepProgram program = lower(run);
    const double sbh = 2048.0 * 6144;
    const double expected = sbh * (34 + 5.0 * 64 * 2048 / 6144) / tp;
    for (const Block& block : program.blocks)
      if (block.kind == BlockKind::layer) {
        EXPECT_NEAR(block.kept.value / expected, 1, 0.03);
      }
  }
}

const Block& layer_of(const StepProgram& program) {
  for (const Block& block : program.blocks)
    if (block.kind == BlockKind::layer) return block;
  throw std::logic_error("no layer");
}

const Tensor* kept_tensor(const Block& block, const std::string& name) {
  for (const Tensor& tensor : block.tensors)
    if (tensor.kept && tensor.name == name) return &tensor;
  return nullptr;
}

// Rajbhandari et al., arXiv 1910.02054, figure 1: 2 + 2 + 12 bytes a parameter; optimizer states, or everything,
// divided over 64 ranks: 16, 4 + 12/64 and 16/64.
TEST(Lower, StatesOfZeroStagesAreThePapers) {
  for (const auto& [layout, expected] : {std::pair{R"("zero": 0)", 16.0}, std::pair{R"("zero": 1)", 4 + 12.0 / 64},
                                         std::pair{R"("fsdp": 64, "zero": 3)", 0.25}}) {
    const models::Run run = run_of("llama3-8b", std::string(
                                                    R"("gpus": 64, "framework": "megatron-bridge", "release": "26.06",
      "seq_len": 4096, "gbs": 128, "mbs": 1, )") + layout);
    const StaticMemory memory = lower(run).stages[0].memory;
    const double states = (memory.weights + memory.quantised_weights + memory.gradients + memory.optimizer).value;
    EXPECT_NEAR(states / 8.03e9, expected, 0.001 * expected) << layout;
  }
}

// arXiv 2401.10241, 1.5B: 6144 tokens of a microbatch, h 2304, 24 heads, unfused attention with dropout. Two bytes a
// value: inputs of two norms, two norms' outputs, attention's output (5 h), q k v (3 h), both sides of the activation
// (8 h), scores and their dropped copy (2 a s); one byte: two hidden masks (2 h) and the scores' (a s). Weight
// gradients read the linears' inputs (1 + 1 + 1 + 4 h) and output gradients (3 + 1 + 4 + 1 h).
TEST(Lower, KeptBytesOfAZeroBubbleLayerByHand) {
  const models::Run run =
      run_of("zb-1.5b", R"("gpus": 8, "framework": "megatron-lm", "release": "zero-bubble fork, 2023",
    "zero": 0, "pp": 8, "seq_len": 1024, "gbs": 144, "mbs": 6, "schedule": "zb-1p", "recompute": {"mode": "none"})",
             "fp16");
  const StepProgram program = lower(run);
  const Block& layer = layer_of(program);
  const double tokens = 6144, h = 2304, scores = 24.0 * 1024;
  EXPECT_NEAR(layer.kept.value / (tokens * (2 * (5 + 3 + 8) * h + 2 * h + 5 * scores)), 1, 0.002);
  EXPECT_NEAR(layer.held_for_weights.value / (tokens * 2 * (7 + 9) * h), 1, 0.001);
}

// What a selective recompute discards is not kept in its quantised form either; a checkpointed module's result is.
TEST(Lower, CastsOfDiscardedActivationsAreMadeAgain) {
  const auto kept = [](const std::string& modules) {
    const models::Run run = run_of("qwen3-30b-a3b",
                                   R"("gpus": 8, "ep": 8, "framework": "megatron-bridge", "release": "26.06",
      "seq_len": 4096, "gbs": 64, "mbs": 1, "recompute": {"mode": "selective", "modules": [)" +
                                       modules + "]}",
                                   "fp8-cs");
    return layer_of(lower(run)).kept.value;
  };
  // Rows of the experts: 4096 * 8, their activation 768 wide, a byte a value.
  EXPECT_DOUBLE_EQ(kept(R"("core_attn")") - kept(R"("core_attn", "moe_act")"), 4096.0 * 8 * 768);
}

TEST(Lower, CheckpointedAttentionLeavesItsResultToTheProjection) {
  const models::Run run =
      run_of("llama3-8b", R"("gpus": 8, "framework": "megatron-bridge", "release": "26.06", "seq_len": 4096,
    "gbs": 8, "mbs": 1, "recompute": {"mode": "selective", "modules": ["core_attn"]})");
  const StepProgram program = lower(run);
  EXPECT_NE(kept_tensor(layer_of(program), "attention_out"), nullptr);
  EXPECT_EQ(kept_tensor(layer_of(program), "lse"), nullptr);
}

// Megatron-Core offloads the inputs of the named module: for expert_fc1 the permuted rows, [6 * 8192, 2688] in bf16.
TEST(Lower, OffloadedModulesGiveTheirInputs) {
  const models::Run run =
      run_of("nemotron3-nano", R"("gpus": 16, "ep": 8, "framework": "megatron-bridge", "release": "26.06",
    "seq_len": 8192, "gbs": 16, "mbs": 1, "extra": {"fine_grained_offload_modules": ["expert_fc1"]})");
  for (const Block& block : lower(run).blocks)
    if (block.label == "moe") {
      EXPECT_DOUBLE_EQ(block.offloaded.value, 6.0 * 8192 * 2688 * 2);
    }
}

// A WAN 2.1 block on 18720 tokens in bf16, hidden 5120, ffn 2.7 * hidden, in units of one hidden tensor: x and three
// norms' outputs with the two residual streams in between (6), self-attention's q and k before and after norm and
// rotation, v once (5), its result and projection (2), cross-attention's q twice and result (3), both sides of the GELU
// (5.4) and the MLP's result for its gate (1).
TEST(Lower, KeptBytesOfADiffusionBlockByHand) {
  const models::Run run =
      run_of("wan2.1-14b", R"("gpus": 8, "framework": "dfm-megatron", "seq_len": 18720, "gbs": 8, "mbs": 1,
    "recompute": {"mode": "none"})");
  EXPECT_NEAR(layer_of(lower(run)).kept.value / (22.4 * 18720 * 5120 * 2), 1, 0.01);
  const models::Run ring =
      run_of("wan2.1-14b", R"("gpus": 8, "cp": 4, "framework": "dfm-megatron", "seq_len": 74880, "gbs": 8,
    "mbs": 1, "recompute": {"mode": "none"})");
  EXPECT_NEAR(layer_of(lower(ring)).kept.value / (22.4 * 18720 * 5120 * 2), 1, 0.01);
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

const Block& block_of(const StepProgram& program, BlockKind kind) {
  for (const Block& block : program.blocks)
    if (block.kind == kind) return block;
  throw std::logic_error("no such block");
}

std::vector<std::string> replayed_ops(const Block& block) {
  std::vector<std::string> names;
  for (const Op& op : block.backward)
    if (op.pass == Pass::replay) names.emplace_back(op.name);
  return names;
}

// Megatron-Core's multi_token_prediction.py checkpoints projection and layer of an MTP module by method uniform: kept
// are the checkpoint's two inputs, of which the hidden states are the main head's own, its output, and what the head
// keeps outside it: the norm's output and the loss. By method block it skips MTP modules.
TEST(Lower, FullRecomputeReplaysMtpModules) {
  const auto program = [](const std::string& recompute) {
    return lower(run_of("deepseek-v3", R"("gpus": 64, "ep": 64, "seq_len": 4096, "gbs": 64, "mbs": 1,
      "framework": "megatron-bridge", "release": "26.06", "recompute": )" +
                                           recompute));
  };
  const StepProgram none = program(R"({"mode": "none"})"), full = program(R"({"mode": "full"})");
  const Block& mtp = block_of(full, BlockKind::mtp);
  EXPECT_NEAR(mtp.kept.value - block_of(full, BlockKind::head).kept.value, 2.0 * 4096 * 7168 * 2 - 4096.0 * 7168 * 2,
              4096.0 * 64);
  EXPECT_LT(mtp.kept.value, block_of(none, BlockKind::mtp).kept.value);
  for (const char* run_again : {"concatenate", "mtp_projection", "experts_fc1"})
    EXPECT_EQ(std::ranges::count(replayed_ops(mtp), run_again), 1) << run_again;
  for (const char* of_the_head : {"final_norm", "logits", "loss"})
    EXPECT_EQ(std::ranges::count(replayed_ops(mtp), of_the_head), 0) << of_the_head;
  const StepProgram by_block = program(R"({"mode": "full", "method": "block", "layers": 61})");
  EXPECT_EQ(block_of(by_block, BlockKind::mtp).kept, block_of(none, BlockKind::mtp).kept);
}

// AutoModel checkpoints decoder layers only (its note on Nemotron-3 Ultra).
TEST(Lower, AutoModelKeepsMtpModules) {
  const auto replayed = [](const std::string& framework) {
    const StepProgram program = lower(run_of("nemotron3-ultra", R"("gpus": 128, "ep": 64, "seq_len": 8192, "gbs": 256,
      "mbs": 1, "recompute": {"mode": "full"}, "framework": ")" + framework +
                                                                    "\""));
    return replayed_ops(block_of(program, BlockKind::mtp)).size();
  };
  EXPECT_EQ(replayed("automodel"), 0U);
  EXPECT_GT(replayed("megatron-bridge"), 10U);
}

// A group of one rank holds its parameters whole, experts that no rank shares too; in a group of two dense ones are
// gathered, two layers at a time: 2 * 16 bits * 218.1e6 parameters, or the embedding's 128256 * 4096 if more.
TEST(Lower, AGroupOfOneGathersNothing) {
  const auto gathered = [](const std::string& model, const std::string& layout) {
    return lower(
               run_of(model, R"("framework": "automodel", "release": "26.04", "seq_len": 4096, "gbs": 64, "mbs": 1, )" +
                                 layout))
        .stages[0]
        .memory.gathered.value;
  };
  EXPECT_EQ(gathered("llama3-8b", R"("gpus": 1, "fsdp": 1, "zero": 3)"), 0);
  EXPECT_EQ(gathered("llama3-8b", R"("gpus": 8, "fsdp": 1, "zero": 2)"), 0);
  EXPECT_EQ(gathered("qwen3-30b-a3b", R"("gpus": 8, "ep": 8, "fsdp": 1, "zero": 3)"), 0);
  EXPECT_NEAR(gathered("llama3-8b", R"("gpus": 2, "fsdp": 2, "zero": 3)") / (2 * 2 * 128256.0 * 4096), 1, 0.001);
}

TEST(Lower, NeedsAreEarlierAndOperandsExist) {
  const models::Run run =
      run_of("deepseek-v3", R"("gpus": 1024, "framework": "megatron-bridge", "release": "26.06", "tp": 2,
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
    const models::Run run =
        run_of("deepseek-v3", std::string(R"("gpus": 64, "ep": 64, "seq_len": 4096, "gbs": 64, "mbs": 1,
      "framework": "megatron-bridge", "release": "26.06", "recompute": )") +
                                  recompute);
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
