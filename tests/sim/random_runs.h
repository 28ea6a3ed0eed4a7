#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>

namespace sim {

/// Descriptions of runs drawn at random from what users may combine: models of all families, systems, stacks, layouts,
/// schedules, sharding, recompute, overlap, offloading. Some are not legal, and parse_run refuses them. The same seed
/// gives the same descriptions everywhere.
class RandomRuns {
 public:
  explicit RandomRuns(std::uint64_t seed) : random_(seed) {}

  std::string next() {
    model_ = one({"llama3-8b", "llama3-70b", "llama3.1-405b", "llama3.2-1b", "qwen2.5-7b", "mpt-7b", "gpt3-175b",
                  "zb-6.2b", "wan2.1-14b", "qwen3-30b-a3b", "qwen3-235b-a22b", "gpt-oss-20b", "mixtral-8x7b",
                  "deepseek-v3", "deepseek-v3-nomtp", "kimi-k2", "nemotron3-nano"});
    text_.clear();
    add_setting();
    add_layout();
    add_schedule();
    add_sharding();
    add_recompute();
    add_overlap();
    add_extra();
    return "{" + text_ + "}";
  }

 private:
  /// std::uniform_int_distribution draws other numbers from library to library.
  int below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename T>
  T pick(std::initializer_list<T> of) {
    return of.begin()[below(static_cast<int>(of.size()))];
  }
  std::string one(std::initializer_list<const char*> of) { return pick(of); }
  int power_of_two(int most) {
    int powers = 1;
    while (1 << powers <= most) ++powers;
    return 1 << below(powers);
  }

  void add(const std::string& key, const std::string& json) {
    text_ += (text_.empty() ? "\"" : ", \"") + key + "\": " + json;
  }
  void add(const std::string& key, int number) { add(key, std::to_string(number)); }
  void add_name(const std::string& key, std::initializer_list<const char*> of) { add(key, "\"" + one(of) + "\""); }
  /// Sets each of `flags` with `percent` of chance, on or off.
  std::string flags(int percent, std::initializer_list<const char*> names) {
    std::string object;
    for (const char* name : names)
      if (chance(percent))
        object += (object.empty() ? "\"" : ", \"") + std::string(name) + one({"\": true", "\": false"});
    return object;
  }
  bool has_experts() const {
    return std::ranges::any_of(
        std::initializer_list<const char*>{"-a3b", "-a22b", "oss", "mixtral", "deepseek", "kimi", "nano"},
        [&](const char* part) { return model_.find(part) != std::string::npos; });
  }

  void add_setting() {
    add("model", "\"" + model_ + "\"");
    add_name("system", {"h100", "h100", "h200", "h800", "a100-80g", "b200", "b300", "gb200", "gb300"});
    add_name("framework", {"megatron-bridge", "megatron-lm", "nemo", "automodel", "torchtitan", "llm-foundry",
                           "dfm-megatron", "dfm-automodel", "generic"});
    add_name("precision", {"bf16", "bf16", "fp16", "fp8", "mxfp8"});
  }

  void add_layout() {
    tp_ = chance(40) ? 1 : power_of_two(8);
    pp_ = chance(45) ? 1 : power_of_two(8);
    vp_ = pp_ > 1 && chance(40) ? pick({2, 3, 4}) : 1;
    cp_ = chance(65) ? 1 : power_of_two(8);
    dp_ = power_of_two(64);
    ep_ = has_experts() ? power_of_two(std::min(64, tp_ * cp_ * dp_)) : 1;
    const int mbs = pick({1, 1, 2, 4});
    add("seq_len", model_ == "wan2.1-14b" ? 37440 : pick({1024, 4096, 4096, 8192, 32768}));
    add("mbs", mbs);
    add("gbs", mbs * dp_ * pick({1, 2, 4, 8, 16, 24, 64}));
    add("gpus", tp_ * pp_ * cp_ * dp_);
    add("tp", tp_), add("pp", pp_), add("vp", vp_), add("cp", cp_), add("ep", ep_);
    if (tp_ > 1 && chance(70)) add("sp", "true");
  }

  void add_schedule() {
    if (pp_ == 1 || chance(50)) return;
    if (vp_ == 1) add_name("schedule", {"1f1b", "gpipe", "zb-1p", "zb-2p"});
    if (vp_ == 2) add_name("schedule", {"interleaved", "zb-v"});
  }

  void add_sharding() {
    if (chance(33)) return;
    const bool sharded = chance(50);
    add("fsdp", !sharded ? 0 : chance(75) ? dp_ * cp_ : power_of_two(dp_ * cp_));
    add("zero", sharded ? pick({2, 3}) : pick({0, 1}));
  }

  void add_recompute() {
    const std::string modules = has_experts() ? R"(["moe_act", "layernorm"])" : R"(["mlp"])";
    const std::string some = R"({"mode": "selective", "modules": )";
    add("recompute", pick<std::string>({R"({"mode": "none"})", R"({"mode": "full"})", some + R"(["core_attn"]})",
                                        some + modules + "}", R"({"mode": "full", "method": "block", "layers": 2})"}));
    if (chance(12)) {
      add("cuda_graph", pick<std::string>({R"({"impl": "transformer_engine", "scope": ["attn"]})",
                                           R"({"impl": "full_iteration", "scope": []})"}));
    }
  }

  void add_overlap() {
    const bool exchange = ep_ > 1;
    std::string object = flags(30, {"tp_comm_overlap", "dp_grad_reduce", "dp_param_gather", "pp_p2p",
                                    "param_gather_with_optimizer_step", "torch_compile_per_layer"});
    const std::string of_experts = exchange ? flags(40, {"ep_a2a", "delay_wgrad", "shared_expert_overlap"}) : "";
    if (!object.empty() && !of_experts.empty()) object += ", ";
    add("overlap", "{" + object + of_experts + "}");
    if (exchange && chance(50))
      add("moe", R"({"dispatcher": ")" + one({"alltoall", "allgather", "deepep", "hybridep"}) + "\"}");
  }

  void add_extra() {
    std::string offload;
    if (chance(12)) offload = R"("cpu_offloading_num_layers": )" + std::to_string(1 + below(12));
    else if (chance(8))
      offload =
          R"("fine_grained_offload_modules": [")" + one({"expert_fc1", "moe_act", "core_attn", "attn_norm"}) + "\"]";
    const std::string ring =
        cp_ > 1 && chance(50) ? R"("cp_comm_type": ")" + one({"p2p", "all_gather", "a2a"}) + "\"" : "";
    add("extra", "{" + offload + (offload.empty() || ring.empty() ? "" : ", ") + ring + "}");
  }

  std::mt19937_64 random_;
  std::string model_, text_;  ///< of the run being drawn
  int tp_ = 1, pp_ = 1, vp_ = 1, cp_ = 1, dp_ = 1, ep_ = 1;
};

}  // namespace sim
