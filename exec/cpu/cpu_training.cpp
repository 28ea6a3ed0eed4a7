#include "exec/cpu/cpu_training.h"

#include <exception>
#include <memory>
#include <stdexcept>

#include "exec/clock.h"
#include "exec/cpu/cpu_communicator.h"
#include "exec/cpu/cpu_device.h"
#include "exec/cpu/mpi_transport.h"
#include "exec/cpu/thread_transport.h"
#include "hw/input_error.h"

namespace exec {
namespace {

TrainingResult train_transport(const CpuTraining& training, Transport& transport) {
  const std::string me = "rank " + std::to_string(transport.rank()) + ": ";
  // A peer may wait for this rank when an op of it fails.
  RealClock clock;
  CpuDevice device(StreamMode::immediate, clock, [&](const std::string& why) { transport.fail(me + why); });
  try {
    RankExecutor executor(training.run, training.program, device, transport,
                          [&](int id, const std::string& name, const std::vector<int>& ranks) {
                            return std::make_unique<CpuCommunicator>(transport, RankGroup{id, name, ranks});
                          });
    return train_rank(training.run, training.plan, training.tokens, executor, training.hooks,
                      [&] { device.streams().take_records(); });
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

TrainingResult train_threads(const CpuTraining& training) {
  TrainingResult result;
  run_thread_ranks(training.run.layout.gpus, [&](Transport& transport) {
    TrainingResult mine = train_transport(training, transport);
    if (transport.rank() == 0) result = std::move(mine);
  });
  return result;
}

TrainingResult train_process(const CpuTraining& training, const std::function<void(const std::string&)>& on_failure) {
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
