#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hw/input_error.h"
#include "models/run.h"

namespace models {
namespace {

using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

/// What differs from a run that is accepted (an empty value takes the key away), and the whole error.
struct Refusal {
  Keys changes;
  std::string_view error;
};

/// 64 H100, Llama 3 8B, one sequence a GPU.
const Keys kAccepted = {
    {"model", R"("llama3-8b")"}, {"system", R"("h100")"}, {"gpus", "64"}, {"precision", R"("bf16")"},
    {"seq_len", "8192"},         {"gbs", "64"},           {"mbs", "1"},   {"framework", R"("megatron-bridge")"},
    {"release", R"("26.06")"},
};

std::string description(const Keys& changes) {
  Keys keys = kAccepted;
  for (const auto& change : changes) {
    bool is_known = false;
    for (auto& key : keys) {
      if (key.first != change.first) continue;
      key.second = change.second;
      is_known = true;
    }
    if (!is_known) keys.push_back(change);
  }
  std::string text = "{";
  for (const auto& [key, value] : keys) {
    if (value.empty()) continue;
    text += (text.size() > 1 ? ", \"" : "\"") + std::string(key) + "\": " + std::string(value);
  }
  return text + "}";
}

std::string answer(const std::string& text) {
  Library library({STEPCAST_SOURCE_DIR});
  try {
    parse_run(hw::Node::parse(text, "run.json"), library, false);
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

const Refusal kRefusals[] = {
    {{{"tensor_parallel", R"(2)"}},
     R"(run.json: /: unknown key "tensor_parallel" (known: id, model, system, gpus, gpus_per_node, framework, release, task, precision, seq_len, gbs, mbs, ga, tp, pp, vp, cp, ep, etp, dp, sp, fsdp, zero, schedule, lbs, recompute, cuda_graph, optimizer, overlap, moe, extra, train, hardware_note, notes, source, trust, measured))"},
    {{{"seqlen", R"(1)"}}, R"(run.json: /: unknown key "seqlen" (did you mean "seq_len"?))"},
    {{{"model", ""}}, R"(run.json: /: missing key "model")"},
    {{{"system", ""}}, R"(run.json: /: missing key "system")"},
    {{{"gpus", ""}}, R"(run.json: /: missing key "gpus")"},
    {{{"precision", ""}}, R"(run.json: /: missing key "precision")"},
    {{{"seq_len", ""}}, R"(run.json: /: missing key "seq_len")"},
    {{{"mbs", ""}}, R"(run.json: /: missing key "mbs")"},
    {{{"seq_len", R"(9007199254740992)"}},
     R"(run.json: /seq_len: must give at most 4294967296 tokens a microbatch (mbs is 1), got 9007199254740992)"},
    {{{"seq_len", R"(8192)"}, {"mbs", R"(1048576)"}},
     R"(run.json: /seq_len: must give at most 4294967296 tokens a microbatch (mbs is 1048576), got 8192)"},
    {{{"gpus", R"(1)"}, {"gbs", R"(2147483647)"}},
     R"(run.json: /gbs: must give at most 2097152 microbatches times stages (pp*vp) a flush, gives 2147483647*1, got 2147483647)"},
    {{{"gpus", R"(4)"}, {"pp", R"(4)"}, {"vp", R"(2)"}, {"schedule", R"("zb-v")"}, {"gbs", R"(300000)"}},
     R"(run.json: /gbs: must give at most 2097152 microbatches times stages (pp*vp) a flush, gives 300000*8, got 300000)"},
    {{{"gpus", R"(0)"}}, R"(run.json: /gpus: must be a positive integer, got 0)"},
    {{{"gpus", R"("64")"}}, R"(run.json: /gpus: must be a positive integer, got "64")"},
    {{{"gpus", R"(64.5)"}}, R"(run.json: /gpus: must be a positive integer, got 64.5)"},
    {{{"tp", R"(-2)"}}, R"(run.json: /tp: must be a positive integer, got -2)"},
    {{{"tp", R"([2])"}}, R"(run.json: /tp: must be a positive integer, got [2])"},
    {{{"sp", R"(1)"}}, R"(run.json: /sp: must be true or false, got 1)"},
    {{{"tp", R"(3)"}}, R"(run.json: /gpus: must be a multiple of tp*cp*pp = 3*1*1, got 64)"},
    {{{"tp", R"(2147483647)"}, {"pp", R"(2147483647)"}},
     R"(run.json: /gpus: must be a multiple of tp*cp*pp = 2147483647*1*2147483647, got 64)"},
    {{{"tp", R"(2)"}, {"dp", R"(16)"}}, R"(run.json: /dp: must be gpus/(tp*cp*pp) = 64/(2*1*1) = 32, got 16)"},
    {{{"gpus_per_node", R"(16)"}}, R"(run.json: /gpus_per_node: must be at most 8 on system h100, got 16)"},
    {{{"gbs", R"(100)"}}, R"(run.json: /gbs: must be a multiple of mbs*dp = 1*64, got 100)"},
    {{{"mbs", R"(2)"}, {"gbs", R"(192)"}}, R"(run.json: /gbs: must be a multiple of mbs*dp = 2*64, got 192)"},
    {{{"gbs", R"(128)"}, {"ga", R"(4)"}}, R"(run.json: /ga: must be gbs/(mbs*dp) = 128/(1*64) = 2, got 4)"},
    {{{"tp", R"(64)"}}, R"(run.json: /tp: must divide the attention heads (32), got 64)"},
    {{{"model", R"("qwen2.5-32b")"}, {"tp", R"(5)"}, {"gpus", R"(40)"}, {"gbs", R"(40)"}},
     R"(run.json: /tp: must divide the key-value heads (8) or be a multiple of them, got 5)"},
    {{{"ep", R"(2)"}}, R"(run.json: /ep: must be 1: model llama3-8b has no experts, got 2)"},
    {{{"etp", R"(2)"}}, R"(run.json: /etp: must be 1: model llama3-8b has no experts, got 2)"},
    {{{"model", R"("qwen3-30b-a3b")"}, {"gpus", R"(48)"}, {"gbs", R"(48)"}, {"ep", R"(48)"}},
     R"(run.json: /ep: must divide the experts (128), got 48)"},
    {{{"model", R"("qwen3-30b-a3b")"}, {"pp", R"(4)"}, {"ep", R"(32)"}},
     R"(run.json: /ep: must give ep*etp = 32*1 that divides the 16 GPUs of a pipeline stage (tp*cp*dp), got 32)"},
    {{{"model", R"("qwen3-30b-a3b")"}, {"gpus", R"(6)"}, {"gbs", R"(6)"}, {"etp", R"(4)"}},
     R"(run.json: /etp: must give ep*etp = 1*4 that divides the 6 GPUs of a pipeline stage (tp*cp*dp), got 4)"},
    {{{"cp", R"(4)"}, {"seq_len", R"(8188)"}}, R"(run.json: /seq_len: must be a multiple of 2*cp = 8, got 8188)"},
    {{{"cp", R"(4)"}, {"seq_len", R"(8190)"}, {"extra", R"({"cp_comm_type": "a2a"})"}},
     R"(run.json: /seq_len: must be a multiple of cp = 4, got 8190)"},
    {{{"tp", R"(4)"}, {"sp", R"(true)"}, {"seq_len", R"(8190)"}},
     R"(run.json: /seq_len: must be a multiple of cp*tp = 1*4 with sequence parallelism, got 8190)"},
    {{{"pp", R"(64)"}}, R"(run.json: /pp: must, times vp, be at most the model's 32 layers, is 64, got 64)"},
    {{{"pp", R"(16)"}, {"vp", R"(4)"}},
     R"(run.json: /pp: must, times vp, be at most the model's 32 layers, is 64, got 16)"},
    {{{"vp", R"(2)"}}, R"(run.json: /vp: needs pp > 1, got 2)"},
    {{{"pp", R"(8)"}, {"schedule", R"("zb-v")"}}, R"(run.json: /vp: must be 2 with schedule zb-v, got nothing)"},
    {{{"pp", R"(4)"}, {"schedule", R"("interleaved")"}},
     R"(run.json: /vp: must be > 1 with schedule interleaved, got nothing)"},
    {{{"pp", R"(4)"}, {"vp", R"(2)"}, {"schedule", R"("1f1b")"}},
     R"(run.json: /vp: must be 1 with schedule 1f1b, got 2)"},
    {{{"pp", R"(4)"}, {"vp", R"(2)"}, {"overlap", R"({"schedule": "ZB-2p"})"}},
     R"(run.json: /vp: must be 1 with schedule zb-2p, got 2)"},
    {{{"schedule", R"("dualpipe")"}},
     R"(run.json: /schedule: must be one of 1f1b, interleaved, gpipe, zb-1p, zb-2p, zb-v, got "dualpipe")"},
    {{{"pp", R"(4)"}, {"schedule", R"("gpipe")"}, {"overlap", R"({"schedule": "1F1B"})"}},
     R"(run.json: /schedule: must agree with /overlap/schedule, got "gpipe")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*8|t*8L"})"}},
     R"(run.json: /extra/pp_layout: must place the model's 32 layers, places 16, got "Et*8|t*8L")"},
    {{{"pp", R"(4)"}, {"extra", R"({"pp_layout": "Et*16|t*16L"})"}},
     R"(run.json: /extra/pp_layout: must have pp*vp = 4 stages, has 2, got "Et*16|t*16L")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*16|x*16L"})"}},
     R"(run.json: /extra/pp_layout: must consist of E, t, m, L, |, *n and groups in (), has `x`, got "Et*16|x*16L")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*16|t*16"})"}},
     R"(run.json: /extra/pp_layout: must end with the loss (L), got "Et*16|t*16")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": "E(t*16|t*16L"})"}},
     R"(run.json: /extra/pp_layout: has a `(` without its `)`, got "E(t*16|t*16L")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": "(((((t*999999999"})"}},
     R"(run.json: /extra/pp_layout: must not have more than 100000 elements, got "(((((t*999999999")"},
    {{{"pp", R"(2)"}, {"extra", R"({"pp_layout": ["Et"]})"}},
     R"(run.json: /extra/pp_layout: must be a non-empty string, got ["Et"])"},
    {{{"model", R"("deepseek-v3")"}, {"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*30|t*31L"})"}},
     R"(run.json: /extra/pp_layout: must have one m for all MTP depths or one for each of 1, has 0, got "Et*30|t*31L")"},
    {{{"pp", R"(8)"},
      {"extra", R"({"account_for_embedding_in_pipeline_split": true, "account_for_loss_in_pipeline_split": true})"}},
     R"(run.json: /pp: must, times vp, divide the layers and the counted ends (34), is 8, got 8)"},
    {{{"fsdp", R"(48)"}}, R"(run.json: /fsdp: must divide dp*cp = 64, got 48)"},
    {{{"fsdp", R"(0)"}, {"zero", R"(3)"}},
     R"(run.json: /zero: must be 1 (distributed optimizer) or 0 with fsdp 0; stages 2 and 3 need fsdp > 0, got 3)"},
    {{{"fsdp", R"(64)"}, {"zero", R"(1)"}},
     R"(run.json: /zero: must be 2 (kept gathered) or 3 (reshard after forward) with fsdp > 0, got 1)"},
    {{{"fsdp", R"(64)"}, {"zero", R"(2)"}, {"overlap", R"({"fsdp_strategy": "FULL_SHARD"})"}},
     R"(run.json: /zero: must agree with /overlap/fsdp_strategy, got 2)"},
    {{{"precision", R"("mxfp8")"}},
     R"(run.json: /precision: must be a format that H100 SXM5 80GB computes in, got "mxfp8")"},
    {{{"system", R"("a100-80g")"}, {"precision", R"("fp8")"}},
     R"(run.json: /precision: must be a format that A100 SXM4 80GB computes in, got "fp8")"},
    {{{"precision", R"("fp8_cs")"}},
     R"(run.json: /precision: must be one of fp64, fp32, bf16, fp16, fp8-cs, fp8-ds, fp8-blockwise, mxfp8, nvfp4, fp8 (did you mean "fp8-cs"?), got "fp8_cs")"},
    {{{"task", R"("finetune")"}}, R"(run.json: /task: must be one of pretrain, sft, lora, got "finetune")"},
    {{{"extra", R"({"lora": {"dim": 16}})"}}, R"(run.json: /extra/lora: needs task "lora", got {"dim":16})"},
    {{{"task", R"("lora")"}, {"extra", R"({"lora": {"dim": 16}})"}, {"optimizer", R"({"lora": {"rank": 8}})"}},
     R"(run.json: /extra/lora: must be given once, in optimizer or in extra, got {"dim":16})"},
    {{{"task", R"("lora")"}, {"extra", R"({"lora": {"dim": 0}})"}},
     R"(run.json: /extra/lora/dim: must be a positive integer, got 0)"},
    {{{"recompute", R"({"mode": "full", "layer": 3})"}},
     R"(run.json: /recompute: unknown key "layer" (did you mean "layers"?))"},
    {{{"recompute", R"({"mode": "selectiv"})"}},
     R"(run.json: /recompute/mode: must be one of none, selective, full (did you mean "selective"?), got "selectiv")"},
    {{{"recompute", R"({"mode": "selective", "modules": ["core_atn"]})"}},
     R"(run.json: /recompute/modules/0: must be a module that recompute knows (did you mean "core_attn"?), got "core_atn")"},
    {{{"recompute", R"({"mode": "none", "modules": ["mlp"]})"}},
     R"(run.json: /recompute/modules: must be empty with mode "none", got ["mlp"])"},
    {{{"recompute", R"({"mode": "full", "layers": 40})"}},
     R"(run.json: /recompute/layers: must be at most the model's 32 layers, got 40)"},
    {{{"recompute", R"("full")"}}, R"(run.json: /recompute: must be an object, got "full")"},
    {{{"cuda_graph", R"(true)"}}, R"(run.json: /cuda_graph: must be an object or "none", got true)"},
    {{{"overlap", R"("all")"}}, R"(run.json: /overlap: must be an object, got "all")"},
    {{{"overlap", R"({"dp_grad_reduce": "yes"})"}},
     R"(run.json: /overlap/dp_grad_reduce: must be true or false, got "yes")"},
    {{{"overlap", R"({"fsdp": {"defer_grad_sync": 1}})"}},
     R"(run.json: /overlap/fsdp/defer_grad_sync: must be true or false, got 1)"},
    {{{"model", R"("qwen3-30b-a3b")"}, {"moe", R"({"capacity_factor": 0})"}},
     R"(run.json: /moe/capacity_factor: must be a positive number, got 0)"},
    {{{"model", R"("qwen3-30b-a3b")"}, {"moe", R"({"capacity_factor": 1e308})"}},
     R"(run.json: /moe/capacity_factor: must be at most experts/top_k = 128/8, got 1e+308)"},
    {{{"optimizer", R"(3)"}}, R"(run.json: /optimizer: must be an object or the optimizer's name, got 3)"},
    {{{"extra", R"({"bf16_layers_start_end": [1]})"}},
     R"(run.json: /extra/bf16_layers_start_end: must be [layers at the start, layers at the end], got [1])"},
    {{{"extra", R"({"text_tokens": 512})"}},
     R"(run.json: /extra/text_tokens: needs a diffusion model with text cross-attention, got 512)"},
    {{{"framework", R"("automodel")"},
      {"release", R"("26.02")"},
      {"pp", R"(2)"},
      {"gpus", R"(2)"},
      {"gbs", R"(64)"},
      {"mbs", R"(2)"},
      {"lbs", R"(3)"}},
     R"(run.json: /lbs: must give a local batch that mbs (2) divides, got 3)"},
    {{{"framework", R"("automodel")"},
      {"release", R"("26.02")"},
      {"pp", R"(2)"},
      {"gpus", R"(2)"},
      {"gbs", R"(64)"},
      {"mbs", R"(2)"},
      {"lbs", R"(10)"}},
     R"(run.json: /lbs: must give a local batch that divides gbs/dp = 64, got 10)"},
    {{{"framework", R"("automodel")"},
      {"release", R"("26.02")"},
      {"pp", R"(2)"},
      {"gpus", R"(2)"},
      {"gbs", R"(64)"},
      {"mbs", R"(2)"},
      {"overlap", R"({"pp": {"local_batch_size": 8, "flushes_per_step": 4}})"}},
     R"(run.json: /overlap/pp/flushes_per_step: must be gbs/(lbs*dp) = 8, got 4)"},
    {{{"train", R"({"learning_rate": 1})"}},
     R"(run.json: /train: unknown key "learning_rate" (known: lr, betas, weight_decay, clip, seed, init_std, data, schedule))"},
    {{{"train", R"({"betas": [0.9, 1.0]})"}}, R"(run.json: /train/betas/1: must be below 1, got 1.0)"},
    {{{"notes", R"(3)"}}, R"(run.json: /notes: must be text, got 3)"},
    {{{"measured", R"({"step_time_s": 1})"}},
     R"(run.json: /measured: belongs in a file of measured runs, which validate reads, got {"step_time_s":1})"},
    {{{"release", R"("")"}}, R"(run.json: /release: must be a non-empty string, got "")"},
    {{{"system", R"("nowhere/x.json")"}}, R"(nowhere/x.json: no such file)"},
    {{{"model", R"("./nowhere/config.json")"}}, R"(./nowhere/config.json: no such file)"},
};

TEST(RunRefusals, TheUnchangedRunIsAccepted) { EXPECT_EQ(answer(description({})), "accepted"); }

TEST(RunRefusals, EachByItsWholeText) {
  EXPECT_GE(std::size(kRefusals), 40u);
  for (const Refusal& refusal : kRefusals) {
    EXPECT_EQ(answer(description(refusal.changes)), refusal.error) << description(refusal.changes);
  }
}

// These list what there is, so only their beginning is fixed.
TEST(RunRefusals, AnUnknownNameIsAnsweredWithThoseThatExist) {
  const std::string folder = STEPCAST_SOURCE_DIR "/";
  const std::string system = answer(description({{"system", R"("h10")"}}));
  EXPECT_EQ(system.find("run.json: /system: no description of that name in " + folder +
                        "hw (did you mean \"h100\"?); there are a100-40g, a100-80g, b200, "),
            0u)
      << system;
  EXPECT_TRUE(system.ends_with(", got \"h10\"")) << system;
  const std::string model = answer(description({{"model", R"("lama3-8b")"}}));
  EXPECT_EQ(model.find("run.json: /model: no description of that name in " + folder +
                       "models (did you mean \"llama3-8b\"?); there are "),
            0u)
      << model;
}

// An architecture that is not modelled is refused by name, with the file that names it.
TEST(RunRefusals, AnUnsupportedArchitecture) {
  const std::string text = answer(description({{"model", R"("deepseek-v4-flash")"}}));
  EXPECT_NE(text.find("models/deepseek-v4-flash.json: /model_type: unsupported architecture"), std::string::npos)
      << text;
}

}  // namespace
}  // namespace models
