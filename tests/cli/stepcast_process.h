#pragma once

#include <string>
#include <vector>

namespace cli::test {

/// What a run of the real binary left.
struct Finished {
  int status = -1;  ///< exit status; 128 + signal where one killed it
  std::string out, err;
};

/// Runs `stepcast ARGUMENTS` in the source tree. `redirect`: a shell redirection or pipe of stdout in place of
/// catching it.
Finished stepcast(const std::vector<std::string>& arguments, const std::string& redirect = "");

/// A path in a folder of this test process, which is removed at its end.
std::string scratch(const std::string& name);
void write(const std::string& path, const std::string& text);
std::string read(const std::string& path);

}  // namespace cli::test
