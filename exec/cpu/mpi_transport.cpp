#include "exec/cpu/mpi_transport.h"

#ifndef STEPCAST_MPI

namespace exec {

bool has_mpi() { return false; }

std::unique_ptr<Transport> start_mpi_transport() { throw TransportError("this build has no MPI"); }

}  // namespace exec

#else

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "exec/message_text.h"

namespace exec {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// The text of a failure travels under this tag; messages have tags from 1 on.
constexpr int kFailureTag = 0;
using FailureText = std::array<char, 4096>;

/// How long a wait polls without yielding where each rank has a core of its own: a peer that is just copying or adding
/// answers within it, and a yield to some other program would cost a scheduler's slice.
constexpr auto kSpinning = std::chrono::microseconds(300);
constexpr auto kYielding = std::chrono::milliseconds(2);
constexpr auto kSleep = std::chrono::microseconds(50);
constexpr auto kFarewell = std::chrono::seconds(1);  ///< for others to hear of a failure and say so
constexpr int kFailed = 2;                           ///< exit status of the job then, as of a process that fails alone

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw TransportError(std::string(call) + ": " + std::string(text, static_cast<std::size_t>(length)));
}

/// Lets others run between two polls of a wait.
class Patience {
 public:
  explicit Patience(bool oversubscribed) : spinning_(oversubscribed ? Waited(0) : Waited(kSpinning)) {}

  void pause() const {
    const Waited waited = SteadyClock::now() - start_;
    if (waited < spinning_) return;
    if (waited < kYielding) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(kSleep);
    }
  }

 private:
  using Waited = SteadyClock::duration;
  SteadyClock::time_point start_ = SteadyClock::now();
  Waited spinning_;
};

/// Threads of a rank take turns at MPI: no call below blocks.
struct Pending {
  std::mutex& mutex;
  MessageText text;
  MPI_Request request = MPI_REQUEST_NULL;

  Pending(std::mutex& its_mutex, const MessageText& its_text) : mutex(its_mutex), text(its_text) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() {  // unfinished only where the job fails
    if (request == MPI_REQUEST_NULL) return;
    const std::lock_guard lock(mutex);
    if (!text.sends) MPI_Cancel(&request);
    MPI_Request_free(&request);
  }
};

class MpiTransport final : public Transport {
 public:
  MpiTransport() : exceptions_(std::uncaught_exceptions()) {
    int provided = MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    oversubscribed_ = static_cast<unsigned>(size_) > std::thread::hardware_concurrency();
    if (provided < MPI_THREAD_SERIALIZED) throw TransportError("this MPI does not allow threads");
    check(MPI_Irecv(heard_.data(), static_cast<int>(heard_.size()), MPI_CHAR, MPI_ANY_SOURCE, kFailureTag,
                    MPI_COMM_WORLD, &hearing_),
          "MPI_Irecv");
  }

  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  ~MpiTransport() override {
    if (!failure_ && std::uncaught_exceptions() > exceptions_) fail("rank " + std::to_string(rank_) + " failed");
    if (failure_) {
      std::this_thread::sleep_for(kFarewell);
      MPI_Abort(MPI_COMM_WORLD, kFailed);
    }
    MPI_Cancel(&hearing_);
    MPI_Request_free(&hearing_);
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Request isend(int to, int tag, const void* data, std::size_t bytes) override {
    return start({.rank = rank_, .peer = to, .tag = tag, .bytes = bytes, .sends = true}, const_cast<void*>(data));
  }
  Request irecv(int from, int tag, void* data, std::size_t bytes) override {
    return start({.rank = rank_, .peer = from, .tag = tag, .bytes = bytes, .sends = false}, data);
  }

  void wait(const Request& request, Deadline deadline) override {
    Pending& pending = *static_cast<Pending*>(request.get());
    if (finished(pending)) return;
    const Patience patience(oversubscribed_);
    for (int polls = 1; !finished(pending); ++polls) {
      if (polls % 16 == 0) {
        hear_of_failure();
        if (SteadyClock::now() > deadline) throw TransportError(pending.text.describe() + ", beyond the time limit");
      }
      patience.pause();
    }
  }

  /// Best effort: a rank that is dead or stuck hears nothing.
  void fail(const std::string& why) override {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = why;
    std::memcpy(said_.data(), why.data(), std::min(why.size(), said_.size() - 1));
    std::vector<MPI_Request> sends;
    for (int to = 0; to < size_; ++to) {
      if (to == rank_) continue;
      MPI_Isend(said_.data(), static_cast<int>(said_.size()), MPI_CHAR, to, kFailureTag, MPI_COMM_WORLD,
                &sends.emplace_back());
    }
    const auto start = SteadyClock::now();
    const Patience patience(oversubscribed_);
    for (int done = 0; done == 0 && SteadyClock::now() - start < kFarewell;) {
      MPI_Testall(static_cast<int>(sends.size()), sends.data(), &done, MPI_STATUSES_IGNORE);
      patience.pause();
    }
  }

 private:
  Request start(const MessageText& text, void* data) {
    if (text.bytes > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      throw TransportError(text.describe() + ": MPI counts bytes in 32 bits");
    auto pending = std::make_shared<Pending>(mutex_, text);
    const std::lock_guard lock(mutex_);
    if (failure_) throw JobFailed(*failure_);
    const auto call = [&](auto function, const char* name) {
      check(function(data, static_cast<int>(text.bytes), MPI_BYTE, text.peer, text.tag + 1, MPI_COMM_WORLD,
                     &pending->request),
            name);
    };
    if (text.sends) {
      call(MPI_Isend, "MPI_Isend");
    } else {
      call(MPI_Irecv, "MPI_Irecv");
    }
    return pending;
  }

  bool finished(Pending& pending) {
    const std::lock_guard lock(mutex_);
    if (pending.request == MPI_REQUEST_NULL) return true;
    int done = 0, received = 0;
    MPI_Status status{};
    if (MPI_Test(&pending.request, &done, &status) != MPI_SUCCESS)
      throw TransportError(pending.text.describe() + ", which fails");
    if (done == 0 || pending.text.sends) return done != 0;
    check(MPI_Get_count(&status, MPI_BYTE, &received), "MPI_Get_count");
    if (static_cast<std::size_t>(received) != pending.text.bytes)
      throw TransportError(pending.text.describe() + ", which has " + std::to_string(received) + " bytes");
    return true;
  }

  void hear_of_failure() {
    const std::lock_guard lock(mutex_);
    int done = 0;
    if (!failure_ && MPI_Test(&hearing_, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0)
      failure_ = std::string(heard_.data());
    if (failure_) throw JobFailed(*failure_);
  }

  int exceptions_;
  int rank_ = 0, size_ = 1;
  bool oversubscribed_ = false;
  std::mutex mutex_;
  std::optional<std::string> failure_;
  FailureText said_{}, heard_{};
  MPI_Request hearing_ = MPI_REQUEST_NULL;
};

}  // namespace

bool has_mpi() { return true; }

std::unique_ptr<Transport> start_mpi_transport() { return std::make_unique<MpiTransport>(); }

}  // namespace exec

#endif
