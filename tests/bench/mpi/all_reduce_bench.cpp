// mpirun -np 2 stepcast_mpi_bench [SECONDS]: this project's all-reduce beside the MPI library's own, over fp32 sums.
// The two alternate call by call, so that a busy machine slows both; a call takes as long as its slowest rank.
// `ordered` is the deterministic mode. With two ranks a ring and an ordered sum send the same messages.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "exec/cpu/cpu_communicator.h"
#include "exec/cpu/mpi_transport.h"
#include "exec/launched_rank.h"

namespace {

using Seconds = std::chrono::duration<double>;

/// The slowest rank's time.
double timed(const std::function<void()>& call) {
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = std::chrono::steady_clock::now();
  call();
  const double own = Seconds(std::chrono::steady_clock::now() - start).count();
  double slowest = 0;
  MPI_Allreduce(&own, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// One line of the table.
void compare(exec::Transport& transport, std::size_t bytes, Seconds budget) {
  exec::RankGroup group{.id = 0, .name = "all", .ranks = {}};
  for (int rank = 0; rank < transport.size(); ++rank) group.ranks.push_back(rank);
  exec::CpuCommunicator ring(transport, group, {.deterministic = false});
  group.id = 1;
  exec::CpuCommunicator ordered(transport, group, {.deterministic = true});
  const auto count = static_cast<std::int64_t>(bytes / sizeof(float));
  const std::vector<float> in(static_cast<std::size_t>(count), 1);
  std::vector<float> out(in.size());
  std::vector<double> mpi_times, ring_times, ordered_times;
  const auto start = std::chrono::steady_clock::now();
  for (double left = 1; left > 0;) {
    mpi_times.push_back(timed(
        [&] { MPI_Allreduce(in.data(), out.data(), static_cast<int>(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD); }));
    ring_times.push_back(timed([&] { ring.all_reduce(in.data(), out.data(), count, hw::DType::fp32); }));
    ordered_times.push_back(timed([&] { ordered.all_reduce(in.data(), out.data(), count, hw::DType::fp32); }));
    left = (start + budget - std::chrono::steady_clock::now()) / Seconds(1);
    MPI_Bcast(&left, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  }
  const double mpi = median(mpi_times), by_ring = median(ring_times), by_order = median(ordered_times);
  if (transport.rank() == 0)
    std::printf("%9zu bytes: MPI %8.1f us, ring %8.1f us (%.2f), ordered %8.1f us (%.2f), %zu rounds\n", bytes,
                1e6 * mpi, 1e6 * by_ring, by_ring / mpi, 1e6 * by_order, by_order / mpi, mpi_times.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (!exec::launched_rank([](const char* name) { return std::getenv(name); })) {
    std::fputs("stepcast_mpi_bench: run it by mpirun -np 2\n", stderr);
    return 2;
  }
  const Seconds budget(argc > 1 ? std::atof(argv[1]) : 2.0);
  const std::unique_ptr<exec::Transport> transport = exec::start_mpi_transport();
  if (transport->rank() == 0)
    std::puts("medians; in brackets the ratio to MPI_Allreduce; target: at most 1.15 at 1 MiB");
  for (const std::size_t bytes : {std::size_t{8}, std::size_t{64} << 10, std::size_t{1} << 20, std::size_t{16} << 20})
    compare(*transport, bytes, budget);
}
