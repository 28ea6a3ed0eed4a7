#include "cli/shell_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "hw/input_error.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookMs = 50;                          ///< how often stop_asked is asked
constexpr std::size_t kKept = std::size_t{1} << 20;  ///< bytes of stdout, at least
constexpr std::chrono::seconds kGrace{5};            ///< from SIGTERM to SIGKILL
constexpr int kBySignal = 128;

[[noreturn]] void refuse(const char* what, int error) {
  throw hw::InputError(std::string("--command: ") + what + ": " + std::strerror(error));
}

struct Child {
  pid_t process = 0;
  int out = -1;
};

Child start(const std::string& command) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) refuse("no pipe", errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh", flag = "-c", text = command;
  std::array<char*, 4> arguments{shell.data(), flag.data(), text.data(), nullptr};
  Child child{.process = 0, .out = pipe_ends[0]};
  const int error = posix_spawnp(&child.process, "sh", &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(pipe_ends[1]);
  if (error == 0) return child;
  close(pipe_ends[0]);
  refuse("sh cannot be started", error);
}

/// Reads what is there, waiting a little. False at the end.
bool read_some(int file, std::string& out) {
  pollfd wait{.fd = file, .events = POLLIN, .revents = 0};
  if (poll(&wait, 1, kLookMs) <= 0) return true;
  std::array<char, 1 << 16> chunk;
  const ssize_t got = read(file, chunk.data(), chunk.size());
  if (got == 0) return false;
  if (got > 0) out.append(chunk.data(), static_cast<std::size_t>(got));
  if (out.size() > 2 * kKept) out.erase(0, out.size() - kKept);
  return true;
}

/// Asks the group to end, and then ends it.
int end_group(pid_t process) {
  int status = 0;
  kill(-process, SIGTERM);
  for (const auto until = Clock::now() + kGrace; Clock::now() < until;) {
    if (waitpid(process, &status, WNOHANG) == process) {
      kill(-process, SIGKILL);  // what the shell has left behind
      return status;
    }
    poll(nullptr, 0, kLookMs);
  }
  kill(-process, SIGKILL);
  waitpid(process, &status, 0);
  return status;
}

}  // namespace

CommandEnd run_command(const std::string& command, std::chrono::seconds limit,
                       const std::function<bool()>& stop_asked) {
  const Child child = start(command);
  const auto until = Clock::now() + limit;
  CommandEnd end;
  int status = 0;
  while (true) {
    end.stopped = stop_asked();
    end.timed_out = !end.stopped && Clock::now() >= until;
    if (end.stopped || end.timed_out) {
      status = end_group(child.process);
      break;
    }
    if (!read_some(child.out, end.out)) {
      // Its stdout is closed; it may go on, or have just ended.
      if (waitpid(child.process, &status, WNOHANG) == child.process) break;
      poll(nullptr, 0, kLookMs);
    }
  }
  close(child.out);
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : kBySignal + WTERMSIG(status);
  return end;
}

std::string shell_quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace cli
