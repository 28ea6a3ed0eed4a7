#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "hw/input_error.h"
#include "hw/units.h"
#include "models/run.h"

namespace models {
namespace {

/// A run of 64 H100 with further keys.
Run read(const std::string& keys) {
  Library library({STEPCAST_SOURCE_DIR});
  const std::string text = R"({"system": "h100", "gpus": 64, "seq_len": 4096, "gbs": 128, "mbs": 1, )" + keys + "}";
  return parse_run(hw::Node::parse(text, "run.json"), library, false);
}

bool assumes(const Run& run, const std::string& what) {
  return std::find(run.assumed.begin(), run.assumed.end(), what) != run.assumed.end();
}

TEST(RunTraits, AnUnknownFrameworkIsTheGenericStack) {
  const auto run = read(R"("model": "llama3-8b", "precision": "bf16", "framework": "colossal")");
  EXPECT_EQ(run.traits.stack, "generic");
  EXPECT_EQ(run.framework, "colossal");
  EXPECT_TRUE(assumes(run, "framework colossal is not described: the generic stack"));
  EXPECT_FALSE(run.recompute_known);
  EXPECT_TRUE(assumes(run, "recompute not stated: none, or the least that fits"));
}

TEST(RunTraits, UnknownKeysOfOpenObjectsAreListed) {
  const auto run = read(R"("model": "qwen3-30b-a3b", "precision": "bf16", "ep": 8,
      "overlap": {"warp": true, "kernels": {"attn": "magic"}}, "moe": {"dispatcher": "mok", "ep_shard": null},
      "cuda_graph": {"impl": "local", "scope": ["loss"]}, "extra": {"seed": 3}, "optimizer": "lion")");
  EXPECT_EQ(run.not_understood,
            (std::vector<std::string>{"optimizer = lion", "overlap.warp", "overlap.kernels.attn = magic",
                                      "moe.dispatcher = mok", "extra.seed", "cuda_graph.scope.0 = loss"}));
}

/// A run of 256 GPUs of `system` in Megatron-Bridge `release`.
Run bridge_run(const std::string& system, const std::string& release, const std::string& keys) {
  Library library({STEPCAST_SOURCE_DIR});
  const std::string text =
      R"({"model": "qwen3-235b-a22b", "precision": "bf16", "framework": "megatron-bridge", "gpus": 256,
      "seq_len": 4096, "gbs": 2048, "mbs": 1, "pp": 8, "ep": 8, "system": ")" +
      system + R"(", "release": ")" + release + "\"" + keys + "}";
  return parse_run(hw::Node::parse(text, "run.json"), library, false);
}

// Two in three of Megatron-Bridge's recipes for mixtures of experts on Blackwell capture these modules.
TEST(RunTraits, GraphsThatAreNotStated) {
  const CudaGraph assumed = bridge_run("gb200", "26.02", "").graph;
  EXPECT_TRUE(assumed.attention && assumed.moe_router && assumed.moe_preprocess);
  EXPECT_FALSE(assumed.layer || assumed.full_iteration);
  EXPECT_FALSE(bridge_run("gb200", "26.02", R"(, "cuda_graph": "none")").graph.attention);
  EXPECT_FALSE(bridge_run("h100", "26.02", "").graph.attention);
  const auto padded = bridge_run("b200", "25.09", R"(, "moe": {"dropless": false})");
  EXPECT_TRUE(padded.graph.layer);
  EXPECT_FALSE(padded.traits.sync_per_dispatch);
  EXPECT_TRUE(assumes(padded, "cuda_graph not stated: whole layers, as most recipes of stack megatron-bridge have it"));
}

// Recipes of 25.11: HybridEP on NVL72, all-to-all elsewhere.
TEST(RunTraits, DispatchersThatAreNotStated) {
  EXPECT_EQ(bridge_run("gb200", "25.11", "").traits.dispatcher, Dispatcher::hybridep);
  EXPECT_EQ(bridge_run("gb200", "25.09", "").traits.dispatcher, Dispatcher::all_to_all);
  EXPECT_EQ(bridge_run("b200", "25.11", "").traits.dispatcher, Dispatcher::all_to_all);
  EXPECT_EQ(bridge_run("gb200", "25.11", R"(, "moe": {"dispatcher": "alltoall"})").traits.dispatcher,
            Dispatcher::all_to_all);
}

// Megatron-LM's arguments: "If enabling EP A2A overlap, virtual_pipeline_model_parallel_size must be specified when
// pipeline_model_parallel_size > 1".
TEST(RunTraits, ExpertExchangesOverlapInPipelinesOfVirtualStagesOnly) {
  const std::string moe = R"("model": "qwen3-30b-a3b", "precision": "bf16", "ep": 4, "overlap": {"ep_a2a": true})";
  EXPECT_TRUE(read(moe).traits.ep_overlap);
  EXPECT_TRUE(read(moe + R"(, "pp": 2, "vp": 2)").traits.ep_overlap);
  const auto plain = read(moe + R"(, "pp": 2)");
  EXPECT_FALSE(plain.traits.ep_overlap);
  EXPECT_TRUE(assumes(plain, "expert exchanges are not overlapped: with pp > 1 that needs vp > 1"));
}

TEST(RunTraits, Fp8IsTheStacksUsualOne) {
  EXPECT_EQ(read(R"("model": "llama3-8b", "precision": "fp8", "framework": "megatron-bridge")").precision,
            Precision::fp8_cs);
  const auto run = read(R"("model": "llama3-8b", "precision": "fp8", "framework": "llm-foundry")");
  EXPECT_EQ(run.precision, Precision::fp8_ds);
  EXPECT_TRUE(assumes(run, "precision fp8 is fp8-ds, the usual one of stack llm-foundry"));
}

// Current scaling and mxfp8 gather quantised weights in Megatron-Bridge, blockwise does not (its 25.09 recipes).
TEST(RunTraits, QuantisedGather) {
  const std::string bridge = R"("model": "llama3-8b", "framework": "megatron-bridge", "precision": )";
  EXPECT_EQ(read(bridge + R"("fp8-cs")").traits.param_gather_dtype, hw::DType::fp8);
  EXPECT_EQ(read(bridge + R"("fp8-blockwise")").traits.param_gather_dtype, hw::DType::bf16);
  EXPECT_EQ(read(bridge + R"("fp8-cs", "optimizer": {"fp8_param_gather": false})").traits.param_gather_dtype,
            hw::DType::bf16);
}

TEST(RunTraits, BridgeCountsFlopsByRelease) {
  const auto flops = [](const std::string& release) {
    return read(R"("model": "llama3-8b", "precision": "bf16", "framework": "megatron-bridge", "release": ")" + release +
                "\"")
        .flops;
  };
  EXPECT_EQ(flops("25.09"), FlopsConvention::megatron_bridge_2604);
  EXPECT_EQ(flops("26.04.01"), FlopsConvention::megatron_bridge_2604);
  EXPECT_EQ(flops("26.06"), FlopsConvention::megatron_bridge);
  EXPECT_EQ(flops("26.08.rc5"), FlopsConvention::megatron_bridge);
}

TEST(RunTraits, ComposerMixedPrecision) {
  const std::string foundry = R"("model": "mpt-7b", "precision": "bf16", "framework": "llm-foundry", "overlap": )";
  const Traits amp = read(foundry + R"({"mp_mode": "DEFAULT"})").traits;
  EXPECT_EQ(amp.param_dtype, hw::DType::fp32);
  EXPECT_EQ(amp.param_gather_dtype, hw::DType::bf16);
  EXPECT_EQ(amp.grad_reduce_dtype, hw::DType::fp32);
  EXPECT_FALSE(amp.master_weights);
  EXPECT_EQ(read(foundry + R"({"mp_mode": "PURE"})").traits.grad_reduce_dtype, hw::DType::bf16);
}

TEST(RunTraits, FsdpIsTheDefaultWhereTheStackShards) {
  const auto run = read(R"("model": "mpt-7b", "precision": "bf16", "framework": "llm-foundry",
      "overlap": {"fsdp_strategy": "SHARD_GRAD_OP"})");
  EXPECT_EQ(run.layout.fsdp, 64);
  EXPECT_EQ(run.layout.zero, Zero::gradients);
  EXPECT_TRUE(assumes(run, "fsdp not stated: parameters are sharded over dp*cp = 64 GPUs"));
}

// A machine described in place bears a known name: with the same rates it is that machine, else a variant of it.
TEST(RunTraits, AMachineOfAKnownNameMustHaveItsRates) {
  const std::string h100 = hw::Node::read_file(STEPCAST_SOURCE_DIR "/hw/h100.json").dump();
  const auto described = [&h100](const std::string& from, const std::string& to) {
    std::string text = h100;
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    Library library({STEPCAST_SOURCE_DIR});
    return parse_run(hw::Node::parse(R"({"system": )" + text + R"(, "model": "llama3-8b", "precision": "bf16",
        "gpus": 8, "seq_len": 4096, "gbs": 8, "mbs": 1})",
                                     "run.json"),
                     library, false);
  };
  const std::string scaled = "system h100 has other rates than the known one: fitted curves are scaled";
  EXPECT_EQ(described(R"("nic_Gbps":{"value":400)", R"("nic_Gbps":{"value":200)").cluster.variant_of, nullptr);
  EXPECT_EQ(described(R"("name":"h100")", R"("name":"mine")").cluster.variant_of, nullptr);
  const models::Run faster = described(R"({"value":989,)", R"({"value":1500,)");
  ASSERT_NE(faster.cluster.variant_of, nullptr);
  EXPECT_DOUBLE_EQ(faster.cluster.variant_of->gpu.peak[static_cast<std::size_t>(hw::DType::bf16)].value, 989e12);
  EXPECT_TRUE(assumes(faster, scaled));
  EXPECT_TRUE(assumes(described(R"("sm_90")", R"("sm_89")"),
                      "system h100 has another architecture than the known one: no fitted curves"));
}

TEST(RunTraits, MegatronCountsTheEndsWhereThatDivides) {
  // 22 layers + 2 = 3 * 8.
  const auto run = read(R"("model": "zb-1.5b", "precision": "fp16", "framework": "megatron-lm", "pp": 8)");
  EXPECT_EQ(run.layout.chunks.front().layers, 2);
  EXPECT_EQ(run.layout.chunks[1].layers, 3);
  EXPECT_TRUE(assumes(run, "stage layout not stated: embedding and loss count as one layer each"));
}

TEST(RunTraits, MegatronOf2022) {
  const Traits traits = read(R"("model": "gpt3-175b", "precision": "fp16", "framework": "megatron-lm",
      "release": "2022", "tp": 8, "pp": 8)")
                            .traits;
  EXPECT_EQ(traits.attention, AttentionBackend::unfused);
  EXPECT_DOUBLE_EQ(traits.dropout, 0.1);
  EXPECT_EQ(traits.param_dtype, hw::DType::fp16);
  EXPECT_EQ(traits.grad_dtype, hw::DType::fp32);
}

TEST(RunTraits, SchedulesInEverySpelling) {
  const auto schedule = [](const std::string& keys) {
    return read(R"("model": "llama3-8b", "precision": "bf16", "pp": 4, )" + keys).layout.schedule;
  };
  EXPECT_EQ(schedule(R"("vp": 2)"), Schedule::interleaved);
  EXPECT_EQ(schedule(R"("vp": null)"), Schedule::one_f_one_b);
  EXPECT_EQ(schedule(R"("vp": 2, "overlap": {"schedule": "1F1B-I"})"), Schedule::interleaved);
  EXPECT_EQ(schedule(R"("vp": 2, "overlap": {"pp": {"schedule": "interleaved1f1b"}})"), Schedule::interleaved);
  EXPECT_EQ(schedule(R"("vp": 2, "overlap": {"schedule": "ZB-V"})"), Schedule::zb_v);
  EXPECT_EQ(schedule(R"("overlap": {"schedule": "ZB-2p*"})"), Schedule::zb_2p);
  EXPECT_EQ(schedule(R"("schedule": "zb-1p")"), Schedule::zb_1p);
  EXPECT_EQ(schedule(R"("schedule": "GPipe")"), Schedule::gpipe);
}

// AutoModel prints GA per local batch: gbs 128 = LBS 8 * GA 4 * DP 4 (pp 16).
TEST(RunTraits, AutoModelsPrintedAccumulationGivesTheLocalBatch) {
  const std::string keys = R"("model": "llama3-8b", "precision": "bf16", "framework": "automodel", "pp": 16)";
  const auto printed = read(keys + R"(, "ga": 4)");
  EXPECT_EQ(printed.layout.flushes, 4);
  EXPECT_EQ(printed.layout.microbatches, 32);
  EXPECT_TRUE(assumes(printed, "lbs not stated: 8 sequences per pipeline flush"));
  EXPECT_EQ(read(keys + R"(, "ga": 32)").layout.flushes, 1);
  EXPECT_EQ(read(keys + R"(, "lbs": 16, "ga": 2)").layout.flushes, 2);
  EXPECT_EQ(read(keys).layout.flushes, 1);
}

// AutoModel wraps the parts of a dense layer one by one: their inputs stay, as with selective recompute.
TEST(RunTraits, FullRecomputeOfPartsIsSelective) {
  const Recompute recompute = read(R"("model": "llama3-8b", "precision": "bf16",
      "recompute": {"mode": "full", "modules": ["self_attn", "mlp"], "layers": 32})")
                                  .recompute;
  EXPECT_EQ(recompute.mode, RecomputeMode::selective);
  EXPECT_TRUE(recompute.modules.self_attention);
  EXPECT_TRUE(recompute.modules.mlp);
  EXPECT_FALSE(recompute.modules.layernorm);
}

TEST(RunTraits, CudaGraphs) {
  const auto graph = [](const std::string& value) {
    return read(R"("model": "llama3-8b", "precision": "bf16", "cuda_graph": )" + value);
  };
  EXPECT_TRUE(graph(R"({"impl": "full_iteration", "scope": []})").traits.graphed_host);
  EXPECT_TRUE(graph(R"({"impl": "local", "scope": ["full_iteration"]})").graph.full_iteration);
  EXPECT_TRUE(graph(R"~({"impl": "local", "scope": ["per-layer (model.enable_cuda_graph)"]})~").graph.layer);
  EXPECT_TRUE(graph(R"({"impl": "local"})").graph.layer);
  EXPECT_FALSE(graph(R"({"impl": "none", "scope": ["attn"]})").graph.attention);
  const CudaGraph partial = graph(R"({"impl": "transformer_engine", "scope": ["attn", "moe_router"]})").graph;
  EXPECT_TRUE(partial.attention && partial.moe_router);
  EXPECT_FALSE(partial.layer || partial.moe_preprocess);
  EXPECT_FALSE(graph(R"("none")").graph.layer);
}

TEST(RunTraits, LoraFromEitherPlace) {
  const std::string keys = R"("model": "llama3-8b", "precision": "bf16", "task": "lora", )";
  const auto bridge = read(keys + R"("extra": {"lora": {"dim": 16, "alpha": 32, "target_modules": ["linear_qkv"]}})");
  EXPECT_EQ(bridge.lora->rank, 16);
  EXPECT_TRUE(bridge.lora->qkv);
  EXPECT_FALSE(bridge.lora->mlp || bridge.lora->out);
  const auto automodel =
      read(keys + R"~("optimizer": {"lora": {"rank": 8, "target": "all linear (match_all_linear)"}})~");
  EXPECT_EQ(automodel.lora->rank, 8);
  EXPECT_TRUE(automodel.lora->qkv && automodel.lora->out && automodel.lora->mlp);
  EXPECT_TRUE(assumes(read(keys + R"("extra": {})"), "LoRA rank not stated: 16"));
}

TEST(Releases, AreComparedNumberByNumber) {
  EXPECT_TRUE(release_at_least("26.06", "26.06"));
  EXPECT_TRUE(release_at_least("26.06.01", "26.06"));
  EXPECT_TRUE(release_at_least("nemo-automodel:26.06 + main", "26.04"));
  EXPECT_TRUE(release_at_least("26.10", "26.9"));
  EXPECT_FALSE(release_at_least("26.04.01", "26.06"));
  EXPECT_FALSE(release_at_least("main", "26.06"));
}

std::string stack_error(const std::string& text) {
  try {
    parse_stack(hw::Node::parse(text, "s.json"), "");
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Stacks, RefuseWhatTheyDoNotKnow) {
  const auto traits = [](const std::string& text) {
    return stack_error(R"({"name": "s", "about": "a", "traits": {)" + text + "}}");
  };
  EXPECT_EQ(traits(""), "accepted");
  EXPECT_EQ(traits(R"("dropot": {"value": 0, "origin": "o"})"),
            "s.json: /traits/dropot: unknown trait (did you mean \"dropout\"?), got {\"value\":0,\"origin\":\"o\"}");
  EXPECT_EQ(traits(R"("dropout": {"value": 0})"), "s.json: /traits/dropout: missing key \"origin\"");
  EXPECT_EQ(traits(R"("attention": {"value": "flash", "origin": "o"})"),
            "s.json: /traits/attention/value: must be one of fused, flash2, flex, sdpa, unfused, triton (did you mean "
            "\"flash2\"?), got \"flash\"");
  EXPECT_EQ(stack_error(R"({"name": "s", "about": "a", "traits": {}, "releases": [{"traits": {}}]})"),
            "s.json: /releases/0: missing key \"from\"");
  EXPECT_EQ(stack_error(R"({"name": "s", "about": "a", "traits": {}, "releases": [{"from": "main", "traits": {}}]})"),
            "s.json: /releases/0/from: must be a release such as 26.06, got \"main\"");
}

}  // namespace
}  // namespace models
