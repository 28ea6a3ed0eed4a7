#include "exec/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "exec/cpu/cpu_training.h"
#include "hw/input_error.h"
#include "models/lower.h"
#include "tests/exec/layout_cases.h"
#include "tests/exec/trained.h"

namespace exec {
namespace {

namespace fs = std::filesystem;

class Checkpoints : public testing::Test {
 protected:
  Checkpoints() { fs::create_directories(folder_); }
  ~Checkpoints() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_ = fs::temp_directory_path() / ("stepcast-checkpoints-" + std::to_string(getpid()));
};

struct Curve {
  std::vector<double> losses, gradient_norms;
  TrainingResult result;
};

Curve trained(const models::Run& run, const TrainingPlan& plan) {
  const models::StepProgram program = models::lower(run);
  Curve curve;
  const TrainingHooks hooks{.on_start = {},
                            .on_step =
                                [&](const TrainedStep& step) {
                                  curve.losses.push_back(step.loss);
                                  curve.gradient_norms.push_back(step.gradient_norm);
                                },
                            .on_save = {},
                            .stop_asked = {}};
  const TokenSource tokens = TokenSource::synthetic(run.model.vocab, run.train.seed);
  curve.result = train_threads({run, program, plan, tokens, hooks}).training;
  return curve;
}

models::Run run_of(const std::string& model, const std::string& overrides) { return tiny_run(model, overrides); }

void save_three_steps(const models::Run& run, const std::string& folder) {
  trained(run, {.steps = 3, .save = folder, .resume = {}});
}

Curve resumed(const models::Run& run, const std::string& folder) {
  return trained(run, {.steps = 6, .save = {}, .resume = find_checkpoint(folder)});
}

std::string refusal(const models::Run& run, const std::string& folder) {
  try {
    resumed(run, folder);
  } catch (const hw::InputError& error) {
    return error.what();
  }
  return "";
}

std::string bytes_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// ---- The same layout ----

class SameLayout : public Checkpoints, public testing::WithParamInterface<LayoutCase> {};

/// Six steps in one go, and three steps, a checkpoint and three more: the same bits.
TEST_P(SameLayout, GoesOnBitForBit) {
  const models::Run run = run_of(GetParam().model, GetParam().overrides);
  const Curve whole = trained(run, {.steps = 6, .save = {}, .resume = {}});
  save_three_steps(run, at("saved"));
  const Curve rest = resumed(run, at("saved"));
  EXPECT_EQ(rest.result.first, 3);
  ASSERT_EQ(rest.losses.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rest.losses[i], whole.losses[i + 3]) << "loss of step " << i + 4;
    EXPECT_EQ(rest.gradient_norms[i], whole.gradient_norms[i + 3]) << "gradient norm of step " << i + 4;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, SameLayout,
    testing::Values(
        LayoutCase{"llama", R"({"precision": "bf16"})"},
        LayoutCase{"llama", R"({"precision": "bf16", "optimizer": {"state_dtype": "bf16"}})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "zero": 1, "precision": "bf16"})"},
        LayoutCase{"llama-lora", R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "precision": "bf16"})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3, "precision": "bf16",
                                "framework": "torchtitan"})"},
        LayoutCase{"llama", R"({"precision": "fp32"})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "zero": 1, "precision": "fp32"})"},
        LayoutCase{"qwen3", R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "zero": 1})"},
        LayoutCase{"llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "fsdp": 4, "zero": 3})"},
        LayoutCase{"llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3})"},
        LayoutCase{"gpt2", R"({"gpus": 2, "gbs": 4, "mbs": 1, "pp": 2, "vp": 2})"},
        LayoutCase{"gpt2",
                   R"({"gpus": 8, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "pp": 2, "cp": 2, "precision": "fp32"})"},
        LayoutCase{"qwen3-moe",
                   R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "ep": 2, "etp": 2, "zero": 1})"},
        LayoutCase{"deepseek-v3", R"({"gpus": 2, "gbs": 4, "mbs": 1, "ep": 2, "fsdp": 2, "zero": 3})"},
        LayoutCase{"nemotron", R"({"gpus": 4, "gbs": 4, "mbs": 1, "pp": 2, "ep": 2})"},
        LayoutCase{"wan", R"({"gpus": 2, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3})"},
        LayoutCase{"llama-lora", R"({"gpus": 2, "gbs": 4, "mbs": 1, "zero": 1})"},
        LayoutCase{"llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "framework": "megatron-bridge"})"}));

// ---- Another precision ----

/// A bf16 run saves the fp32 weights that its own are rounded from.
TEST_F(Checkpoints, AreSharedByFp32AndBf16) {
  const auto run = [](const char* precision) {
    return run_of("llama",
                  R"({"gpus": 2, "gbs": 4, "mbs": 1, "zero": 1, "precision": ")" + std::string(precision) + "\"}");
  };
  const Curve fp32 = trained(run("fp32"), {.steps = 6, .save = {}, .resume = {}});
  for (const auto& [from, to] : {std::pair{"fp32", "bf16"}, std::pair{"bf16", "fp32"}}) {
    save_three_steps(run(from), at(from));
    const Curve rest = resumed(run(to), at(from));
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(rest.losses[i] / fp32.losses[i + 3], 1, 5e-3) << from << " " << i;
  }
}

// ---- Another layout ----

struct Change {
  const char *model, *from, *to;
};

std::ostream& operator<<(std::ostream& out, const Change& change) {
  return out << change.model << " " << change.from << " then " << change.to;
}

class OtherLayout : public Checkpoints, public testing::WithParamInterface<Change> {};

TEST_P(OtherLayout, GoesOnAsTheFirstWould) {
  const models::Run from = run_of(GetParam().model, GetParam().from), to = run_of(GetParam().model, GetParam().to);
  const Curve whole = trained(from, {.steps = 6, .save = {}, .resume = {}});
  save_three_steps(from, at("saved"));
  const Curve rest = resumed(to, at("saved"));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(rest.losses[i] / whole.losses[i + 3], 1, 1e-9) << "loss of step " << i + 4;
    EXPECT_NEAR(rest.gradient_norms[i] / whole.gradient_norms[i + 3], 1, 1e-8) << "gradient norm of step " << i + 4;
  }
}

constexpr const char* kTp2 = R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "sp": true})";
constexpr const char* kPp2 = R"({"gpus": 2, "gbs": 4, "mbs": 1, "pp": 2})";

INSTANTIATE_TEST_SUITE_P(
    All, OtherLayout,
    testing::Values(Change{"llama", kTp2, kPp2}, Change{"gpt2", kTp2, kPp2}, Change{"gpt2", kPp2, kTp2},
                    Change{"qwen2", R"({"gpus": 4, "gbs": 4, "mbs": 1, "zero": 1})", kTp2},
                    Change{"llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "fsdp": 4, "zero": 3})",
                           R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "pp": 2, "zero": 1})"},
                    Change{"llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "pp": 2, "vp": 2, "zero": 1})",
                           R"({"gpus": 4, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3})"},
                    Change{"qwen3-moe", R"({"gpus": 2, "gbs": 4, "mbs": 1, "ep": 2})",
                           R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "etp": 2, "ep": 2, "zero": 1})"},
                    Change{"deepseek-v3", R"({"gpus": 2, "gbs": 4, "mbs": 1, "ep": 2, "fsdp": 2, "zero": 3})",
                           R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "ep": 2})"},
                    Change{"nemotron", R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "sp": true, "ep": 2})",
                           R"({"gpus": 2, "gbs": 4, "mbs": 1, "pp": 2})"},
                    Change{"wan", R"({"gpus": 2, "gbs": 4, "mbs": 1, "fsdp": 2, "zero": 3})",
                           R"({"gpus": 2, "gbs": 4, "mbs": 2, "cp": 2})"},
                    Change{"llama-lora", kTp2, R"({"gpus": 1, "gbs": 4, "mbs": 2})"},
                    // A vocabulary of 96 is padded to 256 and to 128 rows.
                    Change{"llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "framework": "megatron-bridge"})",
                           R"({"gpus": 1, "gbs": 4, "mbs": 1, "framework": "megatron-bridge"})"}));

// ---- What is refused ----

class Damaged : public Checkpoints {
 protected:
  Damaged() { save_three_steps(run_, at("saved")); }

  models::Run run_ = run_of("llama", kTp2);
  std::string checkpoint_ = at("saved") + "/step-3", file_ = checkpoint_ + "/rank-1.bin";
};

TEST_F(Damaged, ATruncatedFile) {
  const std::string whole = bytes_of(file_);
  const std::string size = std::to_string(whole.size());
  for (const std::size_t left : {whole.size() - 1, std::size_t{100}, std::size_t{3}, std::size_t{0}}) {
    write(file_, whole.substr(0, left));
    EXPECT_EQ(refusal(run_, at("saved")),
              file_ + ": is truncated: must have " + size + " bytes, got " + std::to_string(left));
  }
}

TEST_F(Damaged, AForeignFile) {
  write(file_, std::string(10'000, 'x'));
  EXPECT_EQ(refusal(run_, at("saved")), file_ + ": is not a file of a stepcast checkpoint");
}

TEST_F(Damaged, AFileOfAnotherCheckpoint) {
  const models::Run other = run_of("llama", R"({"gpus": 2, "gbs": 4, "mbs": 1, "tp": 2, "train": {"seed": 2}})");
  save_three_steps(other, at("other"));
  fs::copy_file(at("other") + "/step-3/rank-1.bin", file_, fs::copy_options::overwrite_existing);
  EXPECT_EQ(refusal(run_, at("saved")),
            file_ + ": is damaged, or of another checkpoint: its index is not the one that manifest.json describes");
}

TEST_F(Damaged, AFlippedBit) {
  std::string bytes = bytes_of(file_);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write(file_, bytes);
  EXPECT_EQ(refusal(run_, at("saved")), file_ + ": is damaged: head.logits does not have its checksum");
}

TEST_F(Damaged, AMissingFile) {
  fs::remove(file_);
  EXPECT_EQ(refusal(run_, at("saved")), file_ + ": cannot be read, but the checkpoint's manifest.json names it");
}

TEST_F(Damaged, AnotherVersion) {
  std::string bytes = bytes_of(file_);
  bytes[8] = 9;
  write(file_, bytes);
  EXPECT_EQ(refusal(run_, at("saved")), file_ + ": must be of version 1, got 9");
}

TEST_F(Damaged, NoManifest) {
  fs::remove(checkpoint_ + "/manifest.json");
  EXPECT_EQ(refusal(run_, at("saved")),
            at("saved") + ": holds no checkpoint: neither manifest.json nor step-N/manifest.json");
}

TEST_F(Damaged, AManifestOfSomethingElse) {
  write(checkpoint_ + "/manifest.json", "{}");
  EXPECT_EQ(refusal(run_, at("saved")), checkpoint_ +
                                            "/manifest.json: /: must describe a checkpoint of stepcast (key "
                                            "stepcast_checkpoint), got {}");
}

TEST_F(Damaged, AnotherModelOrPrecision) {
  const std::string manifest = checkpoint_ + "/manifest.json";
  EXPECT_EQ(refusal(run_of("gpt2", kTp2), at("saved")),
            manifest + ": is of another model: must be of the run's (the model given in place), got other dimensions");
  EXPECT_EQ(refusal(run_of("llama", R"({"precision": "fp32"})"), at("saved")),
            manifest + ": must be in the run's precision (fp32), got fp64");
}

// ---- Writing ----

TEST_F(Checkpoints, AreWrittenWhenTheyAreDue) {
  const Curve curve = trained(run_of("llama", kPp2), {.steps = 5, .save = at("saved"), .save_every = 2, .resume = {}});
  EXPECT_EQ(curve.result.saved, (std::vector<std::int64_t>{2, 4, 5}));
  EXPECT_EQ(newest_checkpoint(at("saved")), 5);
  EXPECT_EQ(find_checkpoint(at("saved") + "/step-2"), at("saved") + "/step-2");
  for (const auto& entry : fs::recursive_directory_iterator(at("saved")))
    EXPECT_NE(entry.path().extension(), ".partial");
}

/// Files end at a limit as on a full disk.
TEST_F(Checkpoints, AFullDiskLeavesEarlierOnesWhole) {
  const models::Run run = run_of("llama", kTp2);
  save_three_steps(run, at("saved"));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 5000, .rlim_max = before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  std::string why;
  try {
    trained(run, {.steps = 4, .save = at("saved"), .resume = find_checkpoint(at("saved"))});
  } catch (const hw::InputError& error) {
    why = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(why == at("saved") + "/step-4/rank-0.bin: cannot be written: File too large" ||
              why == at("saved") + "/step-4/rank-1.bin: cannot be written: File too large")
      << why;
  EXPECT_TRUE(fs::is_empty(at("saved") + "/step-4"));
  EXPECT_EQ(newest_checkpoint(at("saved")), 3);
  EXPECT_EQ(resumed(run, at("saved")).result.last, 6);
}

TEST_F(Checkpoints, CannotBeWrittenBelowAFile) {
  write(at("file"), "");
  try {
    save_three_steps(run_of("llama", "{}"), at("file"));
    FAIL();
  } catch (const hw::InputError& error) {
    EXPECT_EQ(error.what(), at("file") + "/step-3: cannot be made a folder: Not a directory");
  }
}

// ---- Ends ----

TEST_F(Checkpoints, AreWrittenWhereARankIsAskedToStop) {
  const models::Run run = run_of("llama", kPp2);
  const models::StepProgram program = models::lower(run);
  std::atomic<int> steps = 0;
  const TrainingHooks hooks{.on_start = {},
                            .on_step = [&](const TrainedStep& step) { steps = static_cast<int>(step.step); },
                            .on_save = {},
                            .stop_asked = [&] { return steps >= 2; }};
  const TokenSource tokens = TokenSource::synthetic(run.model.vocab, 1);
  const TrainingPlan plan{.steps = 1000, .save = at("saved"), .resume = {}};
  const TrainingResult result = train_threads({run, program, plan, tokens, hooks}).training;
  EXPECT_EQ(result.end, TrainingEnd::stopped);
  EXPECT_EQ(result.saved, std::vector<std::int64_t>{result.last});
  EXPECT_EQ(newest_checkpoint(at("saved")), result.last);
}

TEST_F(Checkpoints, ARankThatThrowsEndsTheOthers) {
  const models::Run run = run_of("llama", R"({"gpus": 4, "gbs": 4, "mbs": 1, "tp": 2, "pp": 2})");
  const models::StepProgram program = models::lower(run);
  const TrainingHooks hooks{.on_start = {},
                            .on_step = [](const TrainedStep&) { throw std::domain_error("enough"); },
                            .on_save = {},
                            .stop_asked = {}};
  const TokenSource tokens = TokenSource::synthetic(run.model.vocab, 1);
  const TrainingPlan plan{.steps = 3, .save = {}, .resume = {}};
  try {
    train_threads({run, program, plan, tokens, hooks});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_STREQ(error.what(), "rank 0: enough");
  }
}

TEST_F(Checkpoints, ALossThatIsNoNumberIsNotSaved) {
  const models::Run run = run_of("llama", R"({"train": {"lr": 1e300, "clip": 0, "init_std": 0.1}})");
  const Curve curve = trained(run, {.steps = 20, .save = at("saved"), .resume = {}});
  EXPECT_EQ(curve.result.end, TrainingEnd::diverged);
  EXPECT_FALSE(std::isfinite(curve.losses.back()));
  EXPECT_EQ(newest_checkpoint(at("saved")), std::nullopt);
}

}  // namespace
}  // namespace exec
