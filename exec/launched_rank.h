#pragma once

#include <functional>
#include <optional>

namespace exec {

/// A process's place in the job that a launcher started it in.
struct LaunchedRank {
  int rank = 0;
  int size = 1;
};

/// What mpirun (Open MPI), a PMI launcher (MPICH, Intel MPI) or srun says in a process's environment; nothing for a
/// process started alone, which must not start MPI. `variable` looks up an environment variable, such as std::getenv,
/// and returns null where there is none.
std::optional<LaunchedRank> launched_rank(const std::function<const char*(const char*)>& variable);

}  // namespace exec
