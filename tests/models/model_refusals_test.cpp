#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "hw/input_error.h"
#include "hw/node.h"
#include "models/model.h"

namespace models {
namespace {

const std::string kSupported =
    "supported: gpt2, llama, mistral, mixtral, qwen2, qwen3, qwen3_moe, deepseek_v2, deepseek_v3, kimi_k2, gpt_oss, "
    "nemotron_h, mpt, wan";

std::string refusal(const std::string& json) {
  try {
    parse_model(hw::Node::parse(json, "m.json"), "m");
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "accepted";
}

/// A valid description with the text `from` replaced by `to`.
std::string changed(std::string json, const std::string& from, const std::string& to) {
  const std::size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? json : json.replace(at, from.size(), to);
}

const std::string kLlama =
    R"({"model_type":"llama","hidden_size":4096,"intermediate_size":14336,"num_hidden_layers":32,)"
    R"("num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256})";
const std::string kQwenMoe =
    R"({"model_type":"qwen3_moe","hidden_size":2048,"num_hidden_layers":4,"num_attention_heads":32,)"
    R"("num_key_value_heads":4,"head_dim":128,"vocab_size":151936,"num_experts":128,"num_experts_per_tok":8,)"
    R"("moe_intermediate_size":768})";
const std::string kNemotron =
    R"({"model_type":"nemotron_h","hidden_size":64,"num_hidden_layers":3,"vocab_size":100,)"
    R"("hybrid_override_pattern":"M*E","num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,)"
    R"("mamba_num_heads":8,"mamba_head_dim":16,"ssm_state_size":16,"n_groups":2,"conv_kernel":4,)"
    R"("n_routed_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":32})";
const std::string kWan =
    R"({"model_type":"wan","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":4,)"
    R"("head_dim":16,"in_channels":16,"out_channels":16,"patch_t":1,"patch_hw":2,"freq_dim":16,"text_len":8,)"
    R"("text_dim":32})";
const std::string kDeepseek =
    R"({"model_type":"deepseek_v3","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,)"
    R"("num_attention_heads":4,"vocab_size":100,"q_lora_rank":16,"kv_lora_rank":16,"qk_nope_head_dim":16,)"
    R"("qk_rope_head_dim":8,"v_head_dim":16,"n_routed_experts":8,"num_experts_per_tok":2,)"
    R"("moe_intermediate_size":32,"first_k_dense_replace":1})";

TEST(ModelRefusals, UnchangedDescriptionsAreAccepted) {
  for (const std::string& json : {kLlama, kQwenMoe, kNemotron, kWan, kDeepseek}) EXPECT_EQ(refusal(json), "accepted");
}

TEST(ModelRefusals, Architectures) {
  EXPECT_EQ(refusal("{}"), "m.json: /: must have model_type or architectures, " + kSupported + ", got {}");
  EXPECT_EQ(refusal(R"({"model_type":"bert"})"),
            "m.json: /model_type: unknown architecture, " + kSupported + ", got \"bert\"");
  EXPECT_EQ(refusal(R"({"architectures":["BertModel"]})"),
            "m.json: /architectures: unknown architecture, " + kSupported + ", got [\"BertModel\"]");
  EXPECT_EQ(refusal(R"({"model_type":"deepseek_v4"})"),
            "m.json: /model_type: unsupported architecture (compressed sparse attention is not modelled), " +
                kSupported + ", got \"deepseek_v4\"");
  EXPECT_EQ(refusal(R"({"model_type":"qwen3_5_moe_text"})"),
            "m.json: /model_type: unsupported architecture (gated delta layers are not modelled), " + kSupported +
                ", got \"qwen3_5_moe_text\"");
}

TEST(ModelRefusals, Dimensions) {
  EXPECT_EQ(refusal(changed(kLlama, R"("hidden_size":4096,)", "")), "m.json: /: missing key \"hidden_size\"");
  EXPECT_EQ(refusal(changed(kLlama, ":4096", ":0")), "m.json: /hidden_size: must be a positive integer, got 0");
  EXPECT_EQ(refusal(changed(kLlama, ":4096", ":-1")), "m.json: /hidden_size: must be a positive integer, got -1");
  EXPECT_EQ(refusal(changed(kLlama, ":4096", ":\"4096\"")),
            "m.json: /hidden_size: must be a positive integer, got \"4096\"");
  EXPECT_EQ(refusal(changed(kLlama, ":4096", ":1000000")), "m.json: /hidden_size: must be at most 262144, got 1000000");
  EXPECT_EQ(refusal(changed(kLlama, ":128256", ":99999999")),
            "m.json: /vocab_size: must be at most 16777216, got 99999999");
  EXPECT_EQ(refusal(changed(kLlama, "layers\":32", "layers\":100000")),
            "m.json: /num_hidden_layers: must be at most 4096, got 100000");
  EXPECT_EQ(refusal(changed(kLlama, "128256", R"(128256,"vocab_divisor":0)")),
            "m.json: /vocab_divisor: must be a positive integer, got 0");
  EXPECT_EQ(refusal(changed(kLlama, "128256", R"(128256,"tie_word_embeddings":1)")),
            "m.json: /tie_word_embeddings: must be true or false, got 1");
}

TEST(ModelRefusals, Heads) {
  EXPECT_EQ(refusal(changed(kLlama, "value_heads\":8", "value_heads\":5")),
            "m.json: /num_key_value_heads: must divide num_attention_heads (32), got 5");
  EXPECT_EQ(refusal(changed(kLlama, R"(attention_heads":32,"num_key_value_heads":8)",
                            R"(attention_heads":30,"num_key_value_heads":10)")),
            "m.json: /num_attention_heads: must divide hidden_size (4096) without head_dim, got 30");
  EXPECT_EQ(refusal(changed(kQwenMoe, R"("head_dim":128,)", "")), "m.json: /: missing key \"head_dim\"");
  EXPECT_EQ(refusal(changed(kWan, "head_dim\":16", "head_dim\":8")),
            "m.json: /head_dim: times num_attention_heads must equal hidden_size (64), got 8");
}

TEST(ModelRefusals, Experts) {
  EXPECT_EQ(refusal(changed(kQwenMoe, "per_tok\":8", "per_tok\":129")),
            "m.json: /num_experts_per_tok: must not exceed num_experts (128), got 129");
  EXPECT_EQ(refusal(changed(kDeepseek, "replace\":1", "replace\":3")),
            "m.json: /first_k_dense_replace: must not exceed num_hidden_layers (2), got 3");
  EXPECT_EQ(refusal(changed(kDeepseek, "replace\":1", R"(replace":1,"num_nextn_predict_layers":99)")),
            "m.json: /num_nextn_predict_layers: must be at most 16, got 99");
}

TEST(ModelRefusals, GroupsOfExperts) {
  const auto grouped = [](const std::string& keys) {
    return refusal(changed(kDeepseek, "replace\":1", "replace\":1," + keys));
  };
  EXPECT_EQ(grouped(R"("n_group":4,"topk_group":2)"), "accepted");
  EXPECT_EQ(grouped(R"("n_group":3)"), "m.json: /n_group: must divide n_routed_experts (8), got 3");
  EXPECT_EQ(grouped(R"("n_group":4,"topk_group":5)"), "m.json: /topk_group: must be at most n_group (4), got 5");
  EXPECT_EQ(grouped(R"("topk_group":2)"), "m.json: /topk_group: must be at most n_group (1), got 2");
  EXPECT_EQ(grouped(R"("n_group":8,"topk_group":1)"),
            "m.json: /topk_group: must hold num_experts_per_tok (2) experts, got 1");
  EXPECT_EQ(grouped(R"("n_group":-2)"), "m.json: /n_group: must be a non-negative integer, got -2");
}

TEST(ModelRefusals, Hybrid) {
  EXPECT_EQ(refusal(changed(kNemotron, "M*E", "MXE")),
            "m.json: /hybrid_override_pattern: must consist of M (Mamba-2), * (attention), E (experts) and - (MLP), "
            "got \"MXE\"");
  EXPECT_EQ(refusal(changed(kNemotron, "M*E", "M*EE")),
            "m.json: /hybrid_override_pattern: must have num_hidden_layers (3) entries, got \"M*EE\"");
  EXPECT_EQ(refusal(changed(kNemotron, "n_groups\":2", "n_groups\":3")),
            "m.json: /n_groups: must divide mamba_num_heads (8), got 3");
  EXPECT_EQ(refusal(changed(kNemotron, "\"conv_kernel\":4,", R"("conv_kernel":4,"mtp_depth":2,)")),
            "m.json: /: missing key \"mtp_hybrid_override_pattern\"");
}

TEST(ModelRefusals, OwnFormatsAreStrict) {
  EXPECT_EQ(refusal(changed(kWan, "text_len", "textlen")),
            "m.json: /: unknown key \"textlen\" (did you mean \"text_len\"?)");
}

}  // namespace
}  // namespace models
