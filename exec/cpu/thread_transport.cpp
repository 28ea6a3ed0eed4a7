#include "exec/cpu/thread_transport.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "exec/message_text.h"

namespace exec {
namespace {

/// One side of a message: posted, then copied to or from its peer's side, then done.
struct Side {
  enum class State { posted, copying, done };
  MessageText text;
  void* data = nullptr;  ///< of a send, never written
  State state = State::posted;
};
using SidePointer = std::shared_ptr<Side>;

/// What the ranks of one job share.
class ThreadJob {
 public:
  explicit ThreadJob(int ranks) : ended_(static_cast<std::size_t>(ranks)), changed_(static_cast<std::size_t>(ranks)) {}

  int size() const { return static_cast<int>(ended_.size()); }

  void post(const SidePointer& side) {
    std::unique_lock lock(mutex_);
    if (failure_) throw JobFailed(*failure_);
    const SidePointer peer = take_peer(side->text);
    if (!peer) {
      posted_[key(side->text)].push_back(side);
      return;
    }
    if (peer->text.bytes != side->text.bytes) {
      const std::string text = side->text.describe() + ", which has " + std::to_string(peer->text.bytes) + " bytes";
      fail_locked(text);
      throw TransportError(text);
    }
    copy(*side, *peer, lock);
  }

  void wait(const Side& side, Deadline deadline) {
    std::unique_lock lock(mutex_);
    const auto peer = static_cast<std::size_t>(side.text.peer);
    while (side.state != Side::State::done) {
      if (side.state == Side::State::posted) {
        if (failure_) throw JobFailed(*failure_);
        if (ended_[peer]) throw TransportError(side.text.describe() + ", which has ended");
      }
      if (changed(side).wait_until(lock, deadline) == std::cv_status::timeout && side.state == Side::State::posted)
        throw TransportError(side.text.describe() + ", beyond the time limit");
    }
  }

  /// Afterwards nobody touches the side's memory.
  void withdraw(const SidePointer& side) {
    std::unique_lock lock(mutex_);
    if (side->state == Side::State::posted) std::erase(posted_[key(side->text)], side);
    while (side->state == Side::State::copying) changed(*side).wait(lock);
  }

  void fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    fail_locked(why);
  }

  void end(int rank) {
    const std::lock_guard lock(mutex_);
    ended_[static_cast<std::size_t>(rank)] = true;
    wake_all();
  }

 private:
  using Key = std::tuple<bool, int, int, int>;  ///< sends, from, to, tag

  static Key key(const MessageText& text) {
    return text.sends ? Key{true, text.rank, text.peer, text.tag} : Key{false, text.peer, text.rank, text.tag};
  }

  SidePointer take_peer(const MessageText& text) {
    Key of_peer = key(text);
    std::get<0>(of_peer) = !text.sends;
    const auto queue = posted_.find(of_peer);
    if (queue == posted_.end() || queue->second.empty()) return nullptr;
    SidePointer peer = std::move(queue->second.front());
    queue->second.pop_front();
    return peer;
  }

  /// The copy itself runs without the lock: only the two sides' owners could touch that memory, and both wait.
  void copy(Side& side, Side& peer, std::unique_lock<std::mutex>& lock) {
    side.state = peer.state = Side::State::copying;
    lock.unlock();
    const Side &from = side.text.sends ? side : peer, &to = side.text.sends ? peer : side;
    if (from.text.bytes > 0) std::memcpy(to.data, from.data, from.text.bytes);
    lock.lock();
    side.state = peer.state = Side::State::done;
    changed(side).notify_all();
    changed(peer).notify_all();
  }

  void fail_locked(const std::string& why) {
    if (!failure_) failure_ = why;
    wake_all();
  }

  void wake_all() {
    for (std::condition_variable& each : changed_) each.notify_all();
  }

  std::condition_variable& changed(const Side& side) { return changed_[static_cast<std::size_t>(side.text.rank)]; }

  std::mutex mutex_;
  std::map<Key, std::deque<SidePointer>> posted_;
  std::optional<std::string> failure_;
  std::vector<bool> ended_;
  std::vector<std::condition_variable> changed_;  ///< one a rank
};

/// A request: withdraws its side when nobody holds it any more.
struct Posted {
  Posted(ThreadJob& its_job, SidePointer its_side) : job(its_job), side(std::move(its_side)) { job.post(side); }
  Posted(const Posted&) = delete;
  Posted& operator=(const Posted&) = delete;
  ~Posted() { job.withdraw(side); }

  ThreadJob& job;
  SidePointer side;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(ThreadJob& job, int rank) : job_(job), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return job_.size(); }

  Request isend(int to, int tag, const void* data, std::size_t bytes) override {
    return post({.rank = rank_, .peer = to, .tag = tag, .bytes = bytes, .sends = true}, const_cast<void*>(data));
  }
  Request irecv(int from, int tag, void* data, std::size_t bytes) override {
    return post({.rank = rank_, .peer = from, .tag = tag, .bytes = bytes, .sends = false}, data);
  }
  void wait(const Request& request, Deadline deadline) override {
    job_.wait(*static_cast<Posted*>(request.get())->side, deadline);
  }
  void fail(const std::string& why) override { job_.fail(why); }

 private:
  Request post(const MessageText& text, void* data) {
    return std::make_shared<Posted>(job_, std::make_shared<Side>(Side{.text = text, .data = data}));
  }

  ThreadJob& job_;
  int rank_;
};

}  // namespace

void run_thread_ranks(int ranks, const std::function<void(Transport&)>& body) {
  ThreadJob job(ranks);
  std::mutex mutex;
  std::exception_ptr first;
  const auto failed = [&](int rank, const std::string& why) {
    {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
    job.fail("rank " + std::to_string(rank) + " failed: " + why);
  };
  const auto run = [&](int rank) {
    try {
      ThreadTransport transport(job, rank);
      body(transport);
    } catch (const std::exception& error) {
      failed(rank, error.what());
    } catch (...) {
      failed(rank, "not a std::exception");
    }
    job.end(rank);
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(ranks));
    for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace exec
