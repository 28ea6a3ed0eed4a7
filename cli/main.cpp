#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/answer.h"
#include "cli/app.h"
#include "cli/output_file.h"

/// Wrong input is hw::InputError, one line; anything else that is thrown is our bug, but still an error in one line.
int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as EPIPE
  try {
    const cli::Answer answer = cli::run(argc, argv);
    std::fputs(answer.diagnostics.c_str(), stderr);
    cli::write_stdout(answer.out);
    return answer.status;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return cli::kBadInput;
  }
}
