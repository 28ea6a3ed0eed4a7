// stepcast_exec_bench [ROUNDS]: speed of the executor on one core, a dense stack of hidden size 1024.
//
// Each round trains one step in fp32, multiplies the matrices of that step alone, and does both in bf16: on a machine
// whose speed drifts, only what is measured together compares. Times are CPU times of the thread, which leave out what
// others take of the core, and the medians over the rounds. The A/A line is the same fp32 step measured twice a round:
// differences below it mean nothing.
#include <cpuid.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/cpu/cpu_communicator.h"
#include "exec/cpu/cpu_device.h"
#include "exec/cpu/gemm.h"
#include "exec/cpu/onednn_matmul.h"
#include "exec/cpu/thread_transport.h"
#include "exec/rank_executor.h"
#include "hw/node.h"
#include "models/lower.h"

namespace bench {
namespace {

constexpr double kGemmBar = 0.7;  ///< of the GEMM rate, over a whole step in fp32
constexpr double kBf16Bar = 1.5;  ///< bf16 against fp32, where the CPU has AMX

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// CPUID leaf 7: EDX bit 22 is AMX-BF16 (Intel SDM, volume 2, CPUID).
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22U & 1U) != 0;
}

models::Run run_of(const std::string& precision) {
  const std::string text = R"({"model": {"model_type": "llama", "hidden_size": 1024, "intermediate_size": 2816,
    "num_hidden_layers": 2, "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 1024,
    "tie_word_embeddings": false}, "system": "h100", "gpus": 1, "framework": "stepcast", "seq_len": 512, "gbs": 2,
    "mbs": 2, "train": {"lr": 1e-4, "seed": 1}, "precision": ")" +
                           precision + "\"}";
  models::Library library({STEPCAST_SOURCE_DIR});
  return models::parse_run(hw::Node::parse(text, "benched run"), library, false);
}

template <typename Body>
void for_ops(const models::StepProgram& program, Body body) {
  for (const models::ChunkProgram& chunk : program.chunks)
    for (const models::BlockRun& place : chunk.blocks) {
      const models::Block& block = program.blocks[static_cast<std::size_t>(place.block)];
      for (const auto* ops : {&block.forward, &block.backward})
        for (const models::Op& op : *ops) body(block, op, place.count);
    }
}

/// The GEMMs of one step, one behind the other, on matrices of their own.
template <typename T>
class GemmsOfStep {
 public:
  explicit GemmsOfStep(const models::StepProgram& program) {
    for_ops(program, [&](const models::Block&, const models::Op& op, int count) {
      if (const auto* gemm = std::get_if<models::Gemm>(&op.work))
        for (int i = 0; i < count; ++i) all_.push_back(*gemm);
    });
    std::int64_t most = 0;
    for (const models::Gemm& g : all_) {
      most = std::max({most, g.m * g.k, g.k * g.n, g.m * g.n});
      flops_ += 2.0 * static_cast<double>(g.m * g.n * g.k);
    }
    a_.resize(static_cast<std::size_t>(most));
    b_.resize(a_.size());
    c_.resize(a_.size());
    sums_.resize(a_.size());
  }

  double flops() const { return flops_; }

  void run(exec::cpu::Fp32Gemm library) {
    for (const models::Gemm& g : all_) {
      const bool ta = g.role == models::GemmRole::weight_grad, tb = g.role == models::GemmRole::forward;
      const exec::cpu::Matrix<T> a = matrix(a_, ta ? g.k : g.m, ta ? g.m : g.k);
      const exec::cpu::Matrix<T> b = matrix(b_, tb ? g.n : g.k, tb ? g.k : g.n);
      using exec::cpu::Accumulate;
      if (ta) exec::cpu::multiply(library, a, ta, b, tb, Accumulate::yes, matrix(sums_, g.m, g.n));
      else exec::cpu::multiply(library, a, ta, b, tb, Accumulate::no, matrix(c_, g.m, g.n));
    }
  }

 private:
  template <typename E>
  static exec::cpu::Matrix<E> matrix(std::vector<E>& memory, std::int64_t rows, std::int64_t columns) {
    return {memory.data(), rows, columns, columns};
  }

  std::vector<models::Gemm> all_;
  double flops_ = 0;
  std::vector<T> a_, b_, c_;
  std::vector<float> sums_;
};

/// One rank that trains.
class Training {
 public:
  Training(const std::string& precision, exec::Transport& transport, exec::cpu::Fp32Gemm library)
      : run_(run_of(precision)),
        program_(models::lower(run_)),
        tokens_(exec::TokenSource::synthetic(run_.model.vocab, run_.train.seed)),
        device_(exec::StreamMode::immediate, clock_, {}, std::nullopt, library),
        executor_(run_, program_, device_, transport,
                  [&](int id, const std::string& name, const std::vector<int>& ranks) {
                    return std::make_unique<exec::CpuCommunicator>(transport, exec::RankGroup{id, name, ranks});
                  }) {}

  void step() {
    executor_.step(next_++, tokens_);
    device_.streams().take_records();
  }
  const models::StepProgram& program() const { return program_; }

  /// Of GEMMs and attention, as the program counts them.
  double flops() const {
    double sum = 0;
    for_ops(program_, [&](const models::Block& block, const models::Op& op, int count) {
      if (std::holds_alternative<models::Gemm>(op.work) || std::holds_alternative<models::Attention>(op.work))
        sum += count * models::op_size(block, op).flops.value;
    });
    return sum;
  }

 private:
  models::Run run_;
  models::StepProgram program_;
  exec::TokenSource tokens_;
  exec::RealClock clock_;
  exec::CpuDevice device_;
  exec::RankExecutor executor_;
  std::int64_t next_ = 0;
};

struct Measured {
  const char* name;
  std::function<void()> body;
  std::vector<double> seconds = {};

  void run() {
    const double start = cpu_seconds();
    body();
    seconds.push_back(cpu_seconds() - start);
  }
  double time() const { return median(seconds); }
};

/// `instead` of pass or fail, where the bar does not count.
void print_bar(const char* what, double figure, double bar, const char* instead = nullptr) {
  const char* verdict = instead != nullptr ? instead : figure >= bar ? "pass" : "FAIL";
  std::printf("%-56s %5.2f  bar %.2f  %s\n", what, figure, bar, verdict);
}

void print_figure(const char* what, double figure) { std::printf("%-56s %5.2f\n", what, figure); }

/// FLOP/s of a whole step over those of its GEMMs alone.
double share_of_rate(const Measured& step, double flops, const Measured& gemms, double gemm_flops) {
  return (flops / step.time()) / (gemm_flops / gemms.time());
}

bool compare(exec::Transport& transport, int rounds) {
  using exec::cpu::Fp32Gemm;
  const bool onednn = exec::cpu::has_onednn(hw::DType::bf16);
  Training fp32("fp32", transport, Fp32Gemm::openblas), by_onednn("fp32", transport, Fp32Gemm::onednn);
  Training bf16("bf16", transport, Fp32Gemm::openblas);
  GemmsOfStep<float> fp32_gemms(fp32.program());
  GemmsOfStep<exec::BFloat16> bf16_gemms(bf16.program());
  std::vector<Measured> all = {{"fp32 step", [&] { fp32.step(); }},
                               {"fp32 GEMMs", [&] { fp32_gemms.run(Fp32Gemm::openblas); }},
                               {"bf16 step", [&] { bf16.step(); }},
                               {"bf16 GEMMs", [&] { bf16_gemms.run(Fp32Gemm::onednn); }},
                               {"fp32 step again", [&] { fp32.step(); }}};
  if (onednn) {
    all.push_back({"fp32 step, oneDNN", [&] { by_onednn.step(); }});
    all.push_back({"fp32 GEMMs, oneDNN", [&] { fp32_gemms.run(Fp32Gemm::onednn); }});
  }
  for (int round = -1; round < rounds; ++round)
    for (Measured& one : all) {
      one.run();
      if (round < 0) one.seconds.clear();  // memory is new to the process
    }
  const double flops = fp32.flops(), gemm_flops = fp32_gemms.flops();
  std::printf("2 layers, hidden 1024, 1024 tokens, one core; %d rounds, medians of CPU time\n", rounds);
  for (const Measured& one : all) {
    const double its = std::string(one.name).find("GEMMs") == std::string::npos ? flops : gemm_flops;
    std::printf("  %-19s %8.1f ms  %7.1f GFLOP/s\n", one.name, 1e3 * one.time(), 1e-9 * its / one.time());
  }
  std::printf("  A/A error %.1f %%\n", 100 * std::abs(all[0].time() / all[4].time() - 1));
  const double of_gemm = share_of_rate(all[0], flops, all[1], gemm_flops), speedup = all[0].time() / all[2].time();
  print_bar("FLOP/s of GEMM and attention: fp32 step over GEMMs alone", of_gemm, kGemmBar);
  print_bar("bf16 step over fp32 step", speedup, kBf16Bar, has_amx() ? nullptr : "skipped: this CPU has no AMX");
  print_figure("bf16 step over bf16 GEMMs alone", share_of_rate(all[2], flops, all[3], gemm_flops));
  if (onednn) {
    print_figure("fp32 step by oneDNN over its GEMMs alone", share_of_rate(all[5], flops, all[6], gemm_flops));
    print_figure("bf16 step over fp32 step by oneDNN", all[5].time() / all[2].time());
  } else {
    std::puts("no oneDNN for this CPU: bf16 is widened to fp32");
  }
  return of_gemm >= kGemmBar && (!has_amx() || speedup >= kBf16Bar);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  bool passed = false;
  exec::run_thread_ranks(1, [&](exec::Transport& transport) { passed = bench::compare(transport, rounds); });
  return passed ? 0 : 1;
}
