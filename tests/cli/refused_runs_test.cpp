// Wrong run descriptions through the real binary: exit status 2, one line on stderr, nothing on stdout.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

using Keys = std::vector<std::pair<std::string_view, std::string_view>>;

/// What differs from a run that is accepted, and the error behind the file's name.
struct RefusedRun {
  const char* category;
  Keys changes;
  std::string_view error;
};

/// A whole file that is no run description at all.
struct RefusedText {
  const char* category;
  std::string_view text;
  std::string_view error;
};

/// 64 H100, Llama 3 8B, one sequence a GPU.
std::string description(const Keys& changes) {
  Keys keys = {{"model", R"("llama3-8b")"}, {"system", R"("h100")"}, {"gpus", "64"}, {"precision", R"("bf16")"},
               {"seq_len", "8192"},         {"gbs", "64"},           {"mbs", "1"}};
  for (const auto& change : changes) {
    bool is_known = false;
    for (auto& key : keys) {
      if (key.first == change.first) key.second = change.second, is_known = true;
    }
    if (!is_known) keys.push_back(change);
  }
  std::string text;
  for (const auto& [key, value] : keys) {
    text += (text.empty() ? "{\"" : ", \"") + std::string(key) + "\": " + std::string(value);
  }
  return text + "}";
}

void expect_refused(const std::string& path, std::string_view error) {
  const Finished finished = stepcast({"predict", path});
  EXPECT_EQ(finished.status, 2) << path;
  EXPECT_EQ(finished.out, "") << path;
  EXPECT_EQ(finished.err, "error: " + path + ": " + std::string(error) + "\n");
}

void expect_refused_text(std::string_view text, std::string_view error) {
  SCOPED_TRACE(text);
  const std::string path = scratch("wrong.json");
  write(path, std::string(text));
  expect_refused(path, error);
}

const RefusedRun kRuns[] = {
    {"unknown key",
     {{"tensor_paralel", R"(2)"}},
     R"(/: unknown key "tensor_paralel" (known: id, model, system, gpus, gpus_per_node, framework, release, task, precision, seq_len, gbs, mbs, ga, tp, pp, vp, cp, ep, etp, dp, sp, fsdp, zero, schedule, lbs, recompute, cuda_graph, optimizer, overlap, moe, extra, train, hardware_note, notes, source, trust, measured))"},
    {"unknown key",
     {{"recompute", R"({"mode": "full", "layer": 3})"}},
     R"(/recompute: unknown key "layer" (did you mean "layers"?))"},
    {"unknown key", {{"train", R"({"lr": 1, "beta": 1})"}}, R"(/train: unknown key "beta" (did you mean "betas"?))"},
    {"unknown key",
     {{"system", R"({"name": "x", "gpus": {}})"}},
     R"(/system: unknown key "gpus" (did you mean "gpu"?))"},
    {"wrong type", {{"gpus", R"("64")"}}, R"(/gpus: must be a positive integer, got "64")"},
    {"wrong type", {{"model", R"(5)"}}, R"(/model: must be a name, a path or an object, got 5)"},
    {"wrong type", {{"system", R"([])"}}, R"(/system: must be a name, a path or an object, got [])"},
    {"wrong type", {{"sp", R"(1)"}}, R"(/sp: must be true or false, got 1)"},
    {"wrong type", {{"recompute", R"("full")"}}, R"(/recompute: must be an object, got "full")"},
    {"wrong type",
     {{"overlap", R"({"dp_grad_reduce": "yes"})"}},
     R"(/overlap/dp_grad_reduce: must be true or false, got "yes")"},
    {"wrong type", {{"framework", R"(7)"}}, R"(/framework: must be a non-empty string, got 7)"},
    {"wrong type",
     {{"precision", R"(16)"}},
     R"(/precision: must be one of fp64, fp32, bf16, fp16, fp8-cs, fp8-ds, fp8-blockwise, mxfp8, nvfp4, fp8, got 16)"},
    {"wrong type",
     {{"model",
       R"({"model_type": "llama", "hidden_size": "4096", "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256})"}},
     R"(/model/hidden_size: must be a positive integer, got "4096")"},
    {"not a number", {{"tp", R"(NaN)"}}, R"(line 1, column 119: invalid literal, got NaN)"},
    {"not a number", {{"seq_len", R"(Infinity)"}}, R"(line 1, column 86: invalid literal, got Infinity)"},
    {"not a number", {{"lbs", R"(1e999)"}}, R"(line 1, column 124: number is out of range, got 1e999)"},
    {"not a number",
     {{"moe", R"({"capacity_factor": -Infinity})"}},
     R"(line 1, column 141: invalid number, expected digit after '-', got -I)"},
    {"negative", {{"tp", R"(-2)"}}, R"(/tp: must be a positive integer, got -2)"},
    {"negative", {{"fsdp", R"(-1)"}}, R"(/fsdp: must be a non-negative integer, got -1)"},
    {"negative",
     {{"model",
       R"({"model_type": "llama", "hidden_size": -4096, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256})"}},
     R"(/model/hidden_size: must be a positive integer, got -4096)"},
    {"negative", {{"train", R"({"lr": -0.1})"}}, R"(/train/lr: must be a positive number, got -0.1)"},
    {"zero", {{"gpus", R"(0)"}}, R"(/gpus: must be a positive integer, got 0)"},
    {"zero", {{"pp", R"(0)"}}, R"(/pp: must be a positive integer, got 0)"},
    {"zero", {{"mbs", R"(0)"}}, R"(/mbs: must be a positive integer, got 0)"},
    {"zero", {{"seq_len", R"(0)"}}, R"(/seq_len: must be a positive integer, got 0)"},
    {"zero",
     {{"model",
       R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 0, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256})"}},
     R"(/model/num_hidden_layers: must be a positive integer, got 0)"},
    {"huge", {{"gpus", R"(1e308)"}}, R"(/gpus: must be an integer from 1 to 2147483647, got 1e+308)"},
    {"huge", {{"gbs", R"(2147483648)"}}, R"(/gbs: must be an integer from 1 to 2147483647, got 2147483648)"},
    {"huge",
     {{"seq_len", R"(9007199254740992)"}},
     R"(/seq_len: must give at most 4294967296 tokens a microbatch (mbs is 1), got 9007199254740992)"},
    {"huge",
     {{"gpus", R"(1)"}, {"gbs", R"(2147483647)"}},
     R"(/gbs: must give at most 2097152 microbatches times stages (pp*vp) a flush, gives 2147483647*1, got 2147483647)"},
    {"huge",
     {{"tp", R"(2147483647)"}, {"pp", R"(2147483647)"}},
     R"(/gpus: must be a multiple of tp*cp*pp = 2147483647*1*2147483647, got 64)"},
    {"huge",
     {{"model",
       R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 1000000000, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256})"}},
     R"(/model/num_hidden_layers: must be at most 4096, got 1000000000)"},
    {"huge",
     {{"model",
       R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 1e18})"}},
     R"(/model/vocab_size: must be an integer from 1 to 9007199254740992, got 1e+18)"},
    {"huge",
     {{"model", R"("qwen3-30b-a3b")"}, {"moe", R"({"capacity_factor": 1e308})"}},
     R"(/moe/capacity_factor: must be at most experts/top_k = 128/8, got 1e+308)"},
    {"sizes that do not multiply", {{"tp", R"(3)"}}, R"(/gpus: must be a multiple of tp*cp*pp = 3*1*1, got 64)"},
    {"sizes that do not multiply",
     {{"tp", R"(2)"}, {"dp", R"(16)"}},
     R"(/dp: must be gpus/(tp*cp*pp) = 64/(2*1*1) = 32, got 16)"},
    {"sizes that do not multiply", {{"gbs", R"(100)"}}, R"(/gbs: must be a multiple of mbs*dp = 1*64, got 100)"},
    {"sizes that do not multiply",
     {{"gbs", R"(128)"}, {"ga", R"(4)"}},
     R"(/ga: must be gbs/(mbs*dp) = 128/(1*64) = 2, got 4)"},
    {"sizes that do not multiply", {{"fsdp", R"(48)"}}, R"(/fsdp: must divide dp*cp = 64, got 48)"},
    {"sizes that do not multiply",
     {{"cp", R"(4)"}, {"seq_len", R"(8190)"}},
     R"(/seq_len: must be a multiple of 2*cp = 8, got 8190)"},
    {"sizes that do not multiply",
     {{"gpus_per_node", R"(16)"}},
     R"(/gpus_per_node: must be at most 8 on system h100, got 16)"},
    {"sizes that do not multiply",
     {{"model", R"("qwen3-30b-a3b")"}, {"pp", R"(4)"}, {"ep", R"(32)"}},
     R"(/ep: must give ep*etp = 32*1 that divides the 16 GPUs of a pipeline stage (tp*cp*dp), got 32)"},
    {"heads", {{"tp", R"(64)"}}, R"(/tp: must divide the attention heads (32), got 64)"},
    {"heads",
     {{"model", R"("qwen2.5-32b")"}, {"tp", R"(5)"}, {"gpus", R"(40)"}, {"gbs", R"(40)"}},
     R"(/tp: must divide the key-value heads (8) or be a multiple of them, got 5)"},
    {"heads",
     {{"model",
       R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 30, "num_key_value_heads": 8, "vocab_size": 128256})"}},
     R"(/model/num_key_value_heads: must divide num_attention_heads (30), got 8)"},
    {"heads", {{"model", R"("gpt-oss-20b")"}, {"ep", R"(64)"}}, R"(/ep: must divide the experts (32), got 64)"},
    {"more stages than layers",
     {{"pp", R"(64)"}},
     R"(/pp: must, times vp, be at most the model's 32 layers, is 64, got 64)"},
    {"more stages than layers",
     {{"pp", R"(16)"}, {"vp", R"(4)"}},
     R"(/pp: must, times vp, be at most the model's 32 layers, is 64, got 16)"},
    {"more stages than layers",
     {{"pp", R"(2147483647)"}, {"gpus", R"(2147483647)"}},
     R"(/pp: must, times vp, be at most the model's 32 layers, is 2147483647, got 2147483647)"},
    {"stage layout",
     {{"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*8|t*8L"})"}},
     R"(/extra/pp_layout: must place the model's 32 layers, places 16, got "Et*8|t*8L")"},
    {"stage layout",
     {{"pp", R"(4)"}, {"extra", R"({"pp_layout": "Et*16|t*16L"})"}},
     R"(/extra/pp_layout: must have pp*vp = 4 stages, has 2, got "Et*16|t*16L")"},
    {"stage layout",
     {{"pp", R"(2)"}, {"extra", R"({"pp_layout": "(((((t*999999999"})"}},
     R"(/extra/pp_layout: must not have more than 100000 elements, got "(((((t*999999999")"},
    {"stage layout",
     {{"pp", R"(2)"}, {"extra", R"({"pp_layout": "t*1000000000000"})"}},
     R"(/extra/pp_layout: must not have more than 100000 elements, got "t*1000000000000")"},
    {"stage layout",
     {{"pp", R"(2)"}, {"extra", R"({"pp_layout": "(()*99999)*99999Et*16|t*16L"})"}},
     R"(/extra/pp_layout: must not have an empty group `()`, got "(()*99999)*99999Et*16|t*16L")"},
    {"stage layout",
     {{"pp", R"(2)"}, {"extra", R"({"pp_layout": "Et*16||t*16L"})"}},
     R"(/extra/pp_layout: must not have an empty stage, got "Et*16||t*16L")"},
    {"contradiction", {{"vp", R"(2)"}}, R"(/vp: needs pp > 1, got 2)"},
    {"contradiction", {{"pp", R"(8)"}, {"schedule", R"("zb-v")"}}, R"(/vp: must be 2 with schedule zb-v, got nothing)"},
    {"contradiction",
     {{"fsdp", R"(0)"}, {"zero", R"(3)"}},
     R"(/zero: must be 1 (distributed optimizer) or 0 with fsdp 0; stages 2 and 3 need fsdp > 0, got 3)"},
    {"contradiction",
     {{"precision", R"("mxfp8")"}},
     R"(/precision: must be a format that H100 SXM5 80GB computes in, got "mxfp8")"},
    {"contradiction",
     {{"measured", R"({"step_time_s": 1})"}},
     R"(/measured: belongs in a file of measured runs, which validate reads, got {"step_time_s":1})"},
};

const RefusedText kTexts[] = {
    {"truncated", "{", R"(line 1, column 2: unexpected end of input, expected string literal)"},
    {"truncated", R"({"model": "llama3-8b", "gpus": 6)", R"(line 1, column 33: unexpected end of input, expected '}')"},
    {"truncated", R"({"model": "llama3-8b")", R"(line 1, column 22: unexpected end of input, expected '}')"},
    {"truncated", "[1, 2", R"(line 1, column 6: unexpected end of input, expected ']')"},
    {"truncated", R"({"model": "llam)", R"(line 1, column 16: invalid string: missing closing quote, got "llam)"},
    {"empty", "", R"(is empty)"},
    {"empty", " \n\t", R"(is empty)"},
    {"duplicate key", R"({"tp": 2, "gpus": 8, "tp": 4})", R"(/tp: duplicate key)"},
    {"duplicate key", R"({"overlap": {"pp_p2p": true, "pp_p2p": false}})", R"(/overlap/pp_p2p: duplicate key)"},
    {"no object", "[]", R"(/: must be an object, got [])"},
    {"no object", R"("x")", R"(/: must be an object, got "x")"},
    {"no object", "null", R"(/: must be an object, got null)"},
    {"syntax", "{'tp': 2}", R"(line 1, column 2: invalid literal, got ')"},
    {"syntax", R"({"tp": 2,})", R"(line 1, column 10: unexpected '}', expected string literal)"},
    {"syntax", R"({"tp": 2} // two)", R"(line 1, column 11: invalid literal, got /)"},
    {"syntax", R"({"tp": 02})", R"(line 1, column 9: unexpected number literal, expected '}')"},
    {"no UTF-8", "{\"notes\": \"\xff\"}", R"(line 1, column 12: invalid string: ill-formed UTF-8 byte, got "\xff)"},
    {"NUL byte", {"{\"tp\": \0 2}", 11}, "line 1, column 8: NUL byte"},
};

TEST(RefusedRuns, TheUnchangedRunIsAccepted) {
  write(scratch("right.json"), description({}));
  EXPECT_EQ(stepcast({"predict", scratch("right.json")}).status, 0);
}

TEST(RefusedRuns, EachByItsWholeText) {
  EXPECT_GE(std::size(kRuns), 40u);
  for (const RefusedRun& run : kRuns) {
    SCOPED_TRACE(run.category);
    expect_refused_text(description(run.changes), run.error);
  }
}

TEST(RefusedRuns, WhatIsNoDescription) {
  for (const RefusedText& text : kTexts) {
    SCOPED_TRACE(text.category);
    expect_refused_text(text.text, text.error);
  }
}

TEST(RefusedRuns, DeepNesting) {
  std::string place;
  for (int i = 0; i < 28; ++i) place += "/0";
  expect_refused_text(std::string(100'000, '['), place + "/...: must not nest deeper than 64");
}

TEST(RefusedRuns, FilesThatCannotBeRead) {
  expect_refused("/no/such/run.json", "no such file");
  expect_refused("configs", "is a directory, not a file");
  expect_refused("/dev/null", "is empty");
  expect_refused("/dev/zero", "must not be larger than 64 MiB");
  const std::string file = scratch("wrong.json"), loop = scratch("loop.json");
  write(file, description({}));
  expect_refused(file + "/run.json", "no such file");
  ASSERT_EQ(symlink("loop.json", loop.c_str()), 0);
  expect_refused(loop, "cannot be opened");
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  ASSERT_EQ(chmod(file.c_str(), 0), 0);
  expect_refused(file, "cannot be opened");
}

}  // namespace
}  // namespace cli::test
