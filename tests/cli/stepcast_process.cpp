#include "tests/cli/stepcast_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace cli::test {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("stepcast-cli-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code error;
    fs::remove_all(path, error);
  }
};

std::string quoted(const std::string& argument) {
  std::string text = "'";
  for (const char c : argument) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string scratch(const std::string& name) {
  static const Folder folder;
  return (folder.path / name).string();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Finished stepcast(const std::vector<std::string>& arguments, const std::string& redirect) {
  const std::string out = scratch("stdout"), err = scratch("stderr");
  write(out, "");
  std::string command = "cd " + quoted(STEPCAST_SOURCE_DIR) + " && " + quoted(STEPCAST_BINARY);
  for (const std::string& argument : arguments) command += " " + quoted(argument);
  command += " 2>" + quoted(err) + " " + (redirect.empty() ? ">" + quoted(out) : redirect);
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(out), read(err)};
}

}  // namespace cli::test
