#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hw/node.h"
#include "tests/cli/stepcast_process.h"

namespace cli::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A tiny Llama; `more` are further members.
std::string run_file(const std::string& name, const std::string& more) {
  const std::string path = scratch(name + ".json");
  write(path, R"({"model": {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96, "tie_word_embeddings": false,
    "rms_norm_eps": 1e-05}, "system": "h100", "framework": "stepcast", "seq_len": 32, "gbs": 4, "mbs": 1,
    "train": {"lr": 0.01, "init_std": 0.1}, )" +
                  more + "}");
  return path;
}

std::string one_rank() { return run_file("one", R"("gpus": 1, "precision": "fp32")"); }
std::string two_ranks() { return run_file("two", R"("gpus": 2, "tp": 2, "precision": "fp64")"); }

void expect_refused(const std::vector<std::string>& arguments, const std::string& error) {
  const Finished finished = stepcast(arguments);
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err, "error: " + error + "\n");
}

/// `key` of each step in a log.
std::vector<double> column(const std::string& log, const char* key) {
  std::vector<double> values;
  for (const hw::Node::Line& line : hw::Node::read_lines(log)) values.push_back(line.node->at(key).number());
  return values;
}

// ---- Training ----

TEST(Train, TheLossFalls) {
  const std::string log = scratch("falls.jsonl");
  const Finished finished = stepcast({"train", one_rank(), "--steps", "30", "--log", log, "--json", "-"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const std::vector<double> losses = column(log, "loss");
  ASSERT_EQ(losses.size(), 30U);
  EXPECT_NEAR(losses.front(), 4.56, 0.3);  // ln 96: nothing is known yet
  EXPECT_LT(losses.back(), 0.75 * losses.front());
  const hw::Node summary = hw::Node::parse(finished.out, "stdout");
  EXPECT_EQ(summary.at("last_loss").number(), losses.back());
  EXPECT_EQ(summary.at("last_step").number(), 30);
  EXPECT_EQ(summary.at("end").text(), "done");
  EXPECT_EQ(summary.at("ranks_are").text(), "threads");
  EXPECT_FALSE(summary.has("mfu"));  // an H100's peak says nothing of this machine
  EXPECT_GT(summary.at("tokens_per_s").number(), 0);
}

TEST(Train, LossesInBf16FollowThoseInFp32) {
  const std::string log = scratch("fp32.jsonl"), narrow_log = scratch("bf16.jsonl");
  const std::string narrow = run_file("bf16", R"("gpus": 2, "zero": 1, "precision": "bf16")");
  ASSERT_EQ(stepcast({"train", one_rank(), "--steps", "10", "--log", log, "--quiet"}).status, 0);
  ASSERT_EQ(stepcast({"train", narrow, "--steps", "10", "--log", narrow_log, "--quiet"}).status, 0);
  const std::vector<double> losses = column(log, "loss"), narrow_losses = column(narrow_log, "loss");
  ASSERT_EQ(narrow_losses.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_NEAR(narrow_losses[i] / losses[i], 1, 1e-2);
}

TEST(Train, TheLogHasTheDocumentedKeys) {
  const std::string log = scratch("keys.jsonl");
  ASSERT_EQ(stepcast({"train", one_rank(), "--steps", "2", "--log", log, "--quiet"}).status, 0);
  const auto lines = hw::Node::read_lines(log);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1].node->keys(),
            (std::vector<std::string>{"step", "loss", "gradient_norm", "lr", "step_time_s", "tokens_per_s"}));
  EXPECT_EQ(lines[1].node->at("step").number(), 2);
  EXPECT_EQ(lines[1].node->at("lr").number(), 0.01);
  EXPECT_NEAR(lines[1].node->at("tokens_per_s").number() * lines[1].node->at("step_time_s").number(), 128, 1e-6);
}

TEST(Train, ProgressIsALineAStepAndQuietIsNone) {
  const Finished loud = stepcast({"train", one_rank(), "--steps", "3"});
  EXPECT_NE(loud.err.find("step 3/3  loss "), std::string::npos) << loud.err;
  EXPECT_EQ(loud.err.find('\r'), std::string::npos);
  EXPECT_NE(loud.out.find("step time"), std::string::npos);
  EXPECT_EQ(stepcast({"train", one_rank(), "--steps", "3", "--quiet"}).err, "");
}

/// A CPU's peak is one to be measured against.
TEST(Train, MfuIsStatedForACpu) {
  const std::string run = scratch("cpu.json");
  std::string text = read(one_rank());
  const std::string system = R"("system": "h100")";
  text.replace(text.find(system), system.size(),
               R"("system": {"name": "small", "gpus_per_node": {"value": 1, "source": "a test"},
    "nvlink_domain": {"value": 1, "source": "a test"}, "nvlink_GBps": {"value": 10, "source": "a test"},
    "nic_Gbps": {"value": 10, "source": "a test"}, "rails": {"value": 1, "source": "a test"},
    "oversubscription": {"value": 1, "source": "a test"}, "host": {"value": "x86", "source": "a test"},
    "gpu": {"name": "small", "architecture": "x86_64", "sm_count": {"value": 1, "source": "a test"},
    "memory_bytes": {"value": 8e9, "source": "a test"}, "memory_bandwidth_TBps": {"value": 0.02, "source": "a test"},
    "host_link_GBps": {"value": 10, "source": "a test"},
    "peak_dense_TFLOPS": {"fp32": {"value": 0.1, "source": "a test"}}}})");
  write(run, text);
  const Finished finished = stepcast({"train", run, "--steps", "3", "--json", "-", "--quiet"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const hw::Node summary = hw::Node::parse(finished.out, "stdout");
  EXPECT_GT(summary.at("mfu").number(), 0);
  EXPECT_LT(summary.at("mfu").number(), 1);
}

TEST(Train, ResumesBitForBit) {
  const std::string folder = scratch("resumed"), whole = scratch("whole.jsonl"), rest = scratch("rest.jsonl");
  ASSERT_EQ(stepcast({"train", two_ranks(), "--steps", "6", "--log", whole, "--quiet"}).status, 0);
  ASSERT_EQ(stepcast({"train", two_ranks(), "--steps", "3", "--save", folder, "--log", rest, "--quiet"}).status, 0);
  const Finished finished =
      stepcast({"train", two_ranks(), "--steps", "6", "--save", folder, "--resume", folder, "--log", rest, "--quiet"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(column(rest, "loss"), column(whole, "loss"));
  EXPECT_EQ(column(rest, "gradient_norm"), column(whole, "gradient_norm"));
  const Finished again = stepcast({"train", two_ranks(), "--steps", "6", "--resume", folder});
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.out.find("nothing: step 6 is done already"), std::string::npos) << again.out;
}

TEST(Train, OverflowIsAnAnswer) {
  const std::string run = scratch("diverges.json");
  std::string text = read(one_rank());
  text.replace(text.find("0.01"), 4, "1e30, \"clip\": 0");
  write(run, text);
  const Finished finished = stepcast({"train", run, "--steps", "20", "--quiet"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.out.find("diverged: the loss of step "), std::string::npos) << finished.out;
}

/// The same op ids as predicted, pipeline rank by pipeline rank, but for what is no op of the program.
TEST(Train, TheTraceHasThePredictedOps) {
  const std::string run = run_file("traced", R"("gpus": 4, "tp": 2, "pp": 2, "precision": "fp32")");
  const std::string real = scratch("real.json"), predicted = scratch("predicted.json");
  ASSERT_EQ(stepcast({"train", run, "--steps", "2", "--trace", real, "--quiet"}).status, 0);
  ASSERT_EQ(stepcast({"predict", run, "--timeline", predicted}).status, 0);
  const auto ops = [](const std::string& file) {
    std::multiset<std::pair<int, double>> ids;
    for (const hw::Node& event : hw::Node::read_file(file).at("traceEvents").elements()) {
      if (event.at("ph").text() != "X") continue;
      const std::string kind = event.at("args").at("kind").text();
      if (kind == "gemm" || kind == "attention" || kind == "pointwise")
        ids.insert({event.at("pid").non_negative_int(), event.at("args").at("op").number()});
    }
    return ids;
  };
  EXPECT_FALSE(ops(real).empty());
  EXPECT_EQ(ops(real), ops(predicted));
  const hw::Node trace = hw::Node::read_file(real).at("stepcast");
  EXPECT_EQ(trace.at("clock").text(), "real");
  EXPECT_EQ(trace.at("program_hash").text(), hw::Node::read_file(predicted).at("stepcast").at("program_hash").text());
  ASSERT_EQ(stepcast({"train", run, "--steps", "1", "--trace", real, "--trace-ranks", "all", "--quiet"}).status, 0);
  EXPECT_NE(read(real).find("\"name\":\"rank 3\""), std::string::npos);
}

TEST(Train, TheExampleRuns) {
  EXPECT_EQ(stepcast({"train", "configs/runs/train_tiny.json", "--steps", "2", "--quiet"}).status, 0);
}

// ---- Refusals ----

TEST(Train, WrongArgumentsAreRefused) {
  const std::string run = one_rank();
  expect_refused({"train"}, "train: needs RUN.json, the description of a run (docs/runs.md)");
  expect_refused({"train", run}, "train: needs --steps N");
  expect_refused({"train", run, "--steps", "0"}, "--steps: must be a positive integer, got 0");
  expect_refused({"train", run, "--steps", "1e3"}, "--steps: must be a positive integer, got 1e3");
  expect_refused({"train", run, "--stesp", "3"}, "unknown flag --stesp (did you mean --steps?)");
  expect_refused({"train", run, "--steps", "3", "--save-every", "2"}, "--save-every: needs --save DIR");
  expect_refused({"train", run, "--steps", "3", "--ranks", "2"},
                 "--ranks: must be threads or the run's gpus (1), got 2");
  expect_refused({"train", run, "--steps", "3", "--resume", "/no/such"},
                 "/no/such: holds no checkpoint: neither manifest.json nor step-N/manifest.json");
  expect_refused({"train", run, "--steps", "3", "--streams", "many"},
                 "--streams: must be one of inline, threads, got many");
  expect_refused({"train", run, "--steps", "3", "--trace-ranks", "all"}, "--trace-ranks: needs --trace OUT.json");
  expect_refused({"train", run, "--steps", "3", "--trace", "t", "--trace-ranks", "some"},
                 "--trace-ranks: must be one of stages, all, got some");
  expect_refused({"train", run, "--steps", "3", "--log", "/no/such/log"},
                 "/no/such/log: cannot be written: No such file or directory");
}

TEST(Train, HelpNamesTheFlags) {
  const Finished help = stepcast({"train", "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* word : {"RUN.json", "--steps", "--data", "--ranks", "--save", "--save-every", "--resume", "--log",
                           "--json", "--quiet", "--streams", "--trace", "--trace-ranks"})
    EXPECT_NE(help.out.find(word), std::string::npos) << word;
}

TEST(Train, WhatTheExecutorCannotDoIsRefusedBeforehand) {
  const std::string narrow = run_file("narrow", R"("gpus": 1, "precision": "fp8-cs")");
  expect_refused({"train", narrow, "--steps", "3"},
                 narrow + ": cannot be trained: precision: must be fp64, fp32 or bf16, the executor has no others yet");
  const std::string large = scratch("large.json");
  write(large, R"({"model": "llama2-70b", "system": "h100", "gpus": 8, "precision": "fp32", "seq_len": 4096,
    "gbs": 8, "mbs": 1, "tp": 8, "framework": "stepcast"})");
  const Finished finished = stepcast({"train", large, "--steps", "3"});
  EXPECT_EQ(finished.status, 2);
  // 16 bytes for weight, gradient and moments of 68,976,648,192 parameters are 1027.8 GiB, and each rank has all norms.
  EXPECT_NE(finished.err.find("weights, gradients and moments of all ranks need 1027 GiB, this machine has "),
            std::string::npos)
      << finished.err;
}

TEST(Train, MoreStagesThanLayersAreRefused) {
  const std::string run = run_file("stages", R"("gpus": 8, "pp": 8, "precision": "fp32")");
  const Finished finished = stepcast({"train", run, "--steps", "3"});
  EXPECT_EQ(finished.status, 2);
  EXPECT_EQ(finished.err, "error: " + run + ": /pp: must, times vp, be at most the model's 4 layers, is 8, got 8\n");
}

TEST(Train, DataFilesAreChecked) {
  const std::string data = scratch("tokens.bin"), run = one_rank();
  const auto with_data = [&] { return std::vector<std::string>{"train", run, "--steps", "3", "--data", data}; };
  write(data, std::string(20, '\0'));
  expect_refused(with_data(), data + ": must hold a sequence of 32 tokens, got 10");
  write(data, std::string(129, '\0'));
  expect_refused(with_data(), data + ": must hold whole tokens of 2 bytes, got 129 bytes");
  std::string tokens(128, '\0');
  tokens[6] = 96;
  write(data, tokens);
  expect_refused(with_data(), data + ": token 3: must be below the vocabulary (96), got 96");
  expect_refused({"train", run, "--steps", "3", "--data", "/no/such"}, "/no/such: cannot be read as a file of tokens");
  tokens[6] = 95;
  write(data, tokens);
  EXPECT_EQ(stepcast(with_data()).status, 0);
}

TEST(Train, ACheckpointIsNeverWrittenOver) {
  const std::string folder = scratch("kept");
  ASSERT_EQ(stepcast({"train", one_rank(), "--steps", "2", "--save", folder, "--quiet"}).status, 0);
  expect_refused({"train", one_rank(), "--steps", "4", "--save", folder},
                 folder + ": holds a checkpoint of step 2 already: --resume it, or --save elsewhere");
}

// ---- Signals ----

/// A stepcast of its own, whose stderr goes to a file.
class Child {
 public:
  Child(std::vector<std::string> arguments, std::string err) : err_(std::move(err)) {
    arguments.insert(arguments.begin(), STEPCAST_BINARY);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, (err_ + ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0666);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t usual;  // a shell starts what runs behind it with SIGINT ignored
    sigemptyset(&usual);
    sigaddset(&usual, SIGINT);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &files, &attributes, argv.data(), environ), 0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(int signal) const { kill(pid_, signal); }
  bool says(const std::string& text) const {
    for (int i = 0; i < 3000; ++i, std::this_thread::sleep_for(10ms))
      if (read(err_).find(text) != std::string::npos) return true;
    return false;
  }
  /// Its status as waitpid has it; -1 where it has not ended after 30 s.
  int wait() {
    int status = 0;
    for (int i = 0; i < 3000; ++i, std::this_thread::sleep_for(10ms)) {
      if (waitpid(pid_, &status, WNOHANG) != pid_) continue;
      pid_ = -1;
      return status;
    }
    return -1;
  }
  std::string out() const { return read(err_ + ".out"); }

 private:
  pid_t pid_ = -1;
  std::string err_;
};

TEST(Train, SigintAndSigtermSaveAndEnd) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string folder = scratch("signal-" + std::to_string(signal)), name = signal == SIGINT ? "INT" : "TERM";
    Child child({"train", two_ranks(), "--steps", "1000000", "--save", folder, "--save-every", "20"},
                scratch("signal.err"));
    ASSERT_TRUE(child.says("saved " + folder + "/step-20"));
    child.send(signal);
    const int status = child.wait();
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_NE(child.out().find("stopped by SIG" + name + " after step "), std::string::npos) << child.out();
    const std::string said = child.out(), last = said.substr(said.find("/step-") + 6);
    const std::string step = std::to_string(std::stoll(last));
    const Finished next = stepcast({"train", two_ranks(), "--steps", step, "--resume", folder});
    EXPECT_NE(next.out.find("nothing: step " + step + " is done already"), std::string::npos) << next.out << next.err;
  }
}

TEST(Train, ASecondSignalEndsAtOnce) {
  // A step of some minutes.
  const std::string run = run_file("slow", R"("gpus": 1, "precision": "fp64", "lbs": 4)");
  std::string text = read(run);
  text.replace(text.find("\"gbs\": 4"), 8, "\"gbs\": 400000");
  text.replace(text.find(", \"lbs\": 4"), 10, "");
  write(run, text);
  Child child({"train", run, "--steps", "2", "--log", scratch("slow.jsonl")}, scratch("slow.err"));
  while (!fs::exists(scratch("slow.jsonl"))) std::this_thread::sleep_for(5ms);
  std::this_thread::sleep_for(300ms);
  child.send(SIGINT);
  ASSERT_TRUE(child.says("a second signal stops at once"));
  child.send(SIGINT);
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

// ---- Processes ----

bool has_mpirun() { return std::system("mpirun --version >/dev/null 2>&1") == 0; }

int mpirun(const std::string& ranks, const std::string& arguments, const std::string& err) {
  const std::string command = "cd '" STEPCAST_SOURCE_DIR
                              "' && ASAN_OPTIONS=detect_leaks=0 mpirun --allow-run-as-root"
                              " --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -np " +
                              ranks + " '" STEPCAST_BINARY "' " + arguments + " >'" + err + ".out' 2>'" + err + "'";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Train, ProcessesAreAsThreads) {
  if (!has_mpirun()) GTEST_SKIP() << "no mpirun";
  const std::string run = two_ranks(), threads = scratch("threads.jsonl"), processes = scratch("processes.jsonl");
  const std::string folder = scratch("of-processes"), err = scratch("mpi.err");
  ASSERT_EQ(stepcast({"train", run, "--steps", "5", "--log", threads, "--quiet"}).status, 0);
  ASSERT_EQ(mpirun("2", "train '" + run + "' --steps 3 --log '" + processes + "' --save '" + folder + "'", err), 0)
      << read(err);
  ASSERT_EQ(
      mpirun("2", "train '" + run + "' --steps 5 --streams threads --log '" + processes + "' --resume '" + folder + "'",
             err),
      0)
      << read(err);
  EXPECT_EQ(column(processes, "loss"), column(threads, "loss"));
  EXPECT_EQ(column(processes, "gradient_norm"), column(threads, "gradient_norm"));
  const std::string out = read(err + ".out");
  EXPECT_NE(out.find("on 2 ranks as processes"), std::string::npos) << out;
  EXPECT_EQ(out.find("step time"), out.rfind("step time"));  // said once
}

TEST(Train, ProcessesMustBeAsManyAsGpus) {
  if (!has_mpirun()) GTEST_SKIP() << "no mpirun";
  const std::string run = run_file("four", R"("gpus": 4, "precision": "fp32")"), err = scratch("mpi.err");
  EXPECT_EQ(mpirun("2", "train '" + run + "' --steps 3", err), 2);
  EXPECT_NE(read(err).find("error: " + run +
                           ": /gpus: must be the number of processes that the launcher started (2), got 4\n"),
            std::string::npos)
      << read(err);
}

/// A file that cannot be written on one rank ends them all, with its name.
TEST(Train, AProcessThatFailsEndsTheOthers) {
  if (!has_mpirun()) GTEST_SKIP() << "no mpirun";
  const std::string folder = scratch("blocked"), err = scratch("mpi.err");
  fs::create_directories(folder + "/step-2/rank-1.bin.partial");
  EXPECT_NE(mpirun("2", "train '" + two_ranks() + "' --steps 2 --save '" + folder + "'", err), 0);
  const std::string said = read(err);
  EXPECT_NE(said.find("error: " + folder + "/step-2/rank-1.bin: cannot be written: Is a directory"), std::string::npos)
      << said;
  EXPECT_FALSE(fs::exists(folder + "/step-2/manifest.json"));
}

}  // namespace
}  // namespace cli::test
