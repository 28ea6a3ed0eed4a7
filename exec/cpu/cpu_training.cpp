#include "exec/cpu/cpu_training.h"

#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "exec/clock.h"
#include "exec/cpu/cpu_communicator.h"
#include "exec/cpu/cpu_device.h"
#include "exec/cpu/mpi_transport.h"
#include "exec/cpu/thread_transport.h"
#include "hw/input_error.h"

namespace exec {
namespace {

constexpr int kRecordsTag = (1 << 20) - 2;  ///< above those of communicators, below those of pipelines
constexpr auto kRecordsTimeLimit = std::chrono::minutes(10);

/// Records of all traced ranks, on rank 0.
std::vector<RankRecords> gather_records(const CpuTraining& training, Transport& transport,
                                        const std::vector<LaunchRecord>& mine) {
  std::vector<RankRecords> all;
  if (training.traced == TracedRanks::none) return all;
  const models::Layout& layout = training.run.layout;
  const int ranks_of_stage = layout.gpus / layout.pp, me = transport.rank();
  const bool every = training.traced == TracedRanks::all;
  const Deadline deadline = std::chrono::steady_clock::now() + kRecordsTimeLimit;
  for (int rank = 0; rank < layout.gpus; rank += every ? 1 : ranks_of_stage) {
    if (rank != me && me != 0) continue;
    const int stage = rank / ranks_of_stage;
    std::vector<LaunchRecord> launches = mine;
    std::uint64_t count = mine.size();
    if (me != 0) {
      transport.send(0, kRecordsTag, &count, sizeof count, deadline);
      transport.send(0, kRecordsTag, mine.data(), mine.size() * sizeof(LaunchRecord), deadline);
    } else if (rank != 0) {
      transport.recv(rank, kRecordsTag, &count, sizeof count, deadline);
      launches.resize(count);
      transport.recv(rank, kRecordsTag, launches.data(), count * sizeof(LaunchRecord), deadline);
    }
    if (me == 0) all.push_back({.rank = every ? rank : stage, .stage = stage, .launches = std::move(launches)});
  }
  return all;
}
static_assert(std::is_trivially_copyable_v<LaunchRecord>);

CpuTrainingResult train_transport(const CpuTraining& training, Transport& transport) {
  const std::string me = "rank " + std::to_string(transport.rank()) + ": ";
  // A peer may wait for this rank when an op of it fails.
  RealClock clock;
  CpuDevice device(training.streams, clock, [&](const std::string& why) { transport.fail(me + why); });
  try {
    RankExecutor executor(training.run, training.program, device, transport,
                          [&](int id, const std::string& name, const std::vector<int>& ranks) {
                            return std::make_unique<CpuCommunicator>(transport, RankGroup{id, name, ranks});
                          });
    std::vector<LaunchRecord> of_step;
    CpuTrainingResult result{.training =
                                 train_rank(training.run, training.plan, training.tokens, executor, training.hooks,
                                            [&] { of_step = device.streams().take_records(); })};
    result.records = gather_records(training, transport, of_step);
    return result;
  } catch (const hw::InputError&) {
    throw;
  } catch (const TransportError&) {  // names its rank
    throw;
  } catch (const std::bad_alloc&) {
    throw std::runtime_error(me + "out of memory");
  } catch (const std::exception& error) {
    throw std::runtime_error(me + error.what());
  }
}

}  // namespace

CpuTrainingResult train_threads(const CpuTraining& training) {
  CpuTrainingResult result;
  run_thread_ranks(training.run.layout.gpus, [&](Transport& transport) {
    CpuTrainingResult mine = train_transport(training, transport);
    if (transport.rank() == 0) result = std::move(mine);
  });
  return result;
}

CpuTrainingResult train_process(const CpuTraining& training,
                                const std::function<void(const std::string&)>& on_failure) {
  const std::unique_ptr<Transport> transport = start_mpi_transport();
  try {
    return train_transport(training, *transport);
  } catch (const std::exception& error) {
    on_failure(error.what());
    transport->fail(error.what());
    throw;
  }
}

}  // namespace exec
