#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <string>

#include "models/run.h"
#include "tests/bench/benched_run.h"

extern char** environ;

namespace bench {
namespace {

/// A description that is in memory, its model and machine read before: what a file of many runs costs a row.
void parse_run(benchmark::State& state) {
  models::Library library({STEPCAST_SOURCE_DIR});
  const hw::Node node = description(1024);
  for (auto _ : state) benchmark::DoNotOptimize(models::parse_run(node, library, false));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse_run)->Unit(benchmark::kMicrosecond);

/// All files of one prediction: run, model, machine, stack, profile.
void read_all_files(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(benched_run(1024));
}
BENCHMARK(read_all_files)->Unit(benchmark::kMillisecond);

/// Exit status, -1 where it did not run to its end.
int run_silently(const std::string& binary, const std::string& file) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string arguments[] = {binary, "predict", file};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  pid_t child = 0;
  int status = 0;
  const bool done = posix_spawn(&child, binary.c_str(), &actions, nullptr, argv, environ) == 0 &&
                    waitpid(child, &status, 0) == child && WIFEXITED(status);
  posix_spawn_file_actions_destroy(&actions);
  return done ? WEXITSTATUS(status) : -1;
}

/// `stepcast predict configs/runs/deepseek-v3-h100-1024.json`, from starting the process to its end.
void whole_process(benchmark::State& state) {
  for (auto _ : state) {
    const int status = run_silently(STEPCAST_BINARY, description_file());
    if (status != 0 && status != 1) {  // 1: does not fit
      state.SkipWithError("stepcast predict failed");
      break;
    }
  }
  state.SetLabel("target: at most 60 ms");
}
BENCHMARK(whole_process)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace bench
