#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace cli {

/// How a command ended.
struct CommandEnd {
  int status = 0;          ///< exit status; 128 + signal where one ended it
  bool timed_out = false;  ///< was ended because its time was over
  bool stopped = false;    ///< or because that was asked for
  std::string out;         ///< the last of its stdout
};

/// Runs a command by `sh -c`, in a process group of its own, which is ended as a whole where the time is over or
/// `stop_asked` says so. Its stderr is that of this process, its stdin is empty. Throws hw::InputError where no process
/// can be made.
CommandEnd run_command(const std::string& command, std::chrono::seconds limit, const std::function<bool()>& stop_asked);

/// One word for the shell, whatever is in it.
std::string shell_quoted(const std::string& word);

}  // namespace cli
