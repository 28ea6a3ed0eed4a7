#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "exec/clock.h"
#include "models/step_program.h"

namespace exec {

/// All that was launched on a stream up to a moment.
struct Event {
  models::Stream stream = models::Stream::compute;
  std::int64_t launches = 0;
};

/// When one launch ran.
struct LaunchRecord {
  models::Stream stream = models::Stream::compute;
  std::int64_t op = 0;  ///< as given to launch()
  Instant start, end;   ///< CPU time is of the stream's thread
};

enum class StreamMode : std::uint8_t {
  threads,    ///< one thread a stream, started by its first launch; it sleeps while there is nothing to do
  immediate,  ///< launch() runs the work itself: one thread, for small tests and for many ranks that are threads
};

/// The streams of one rank, as a device has them: work on one stream runs in the order of launching, streams run beside
/// each other, and wait() orders work of one behind work of another. One thread launches.
///
/// The first exception that work throws stops all streams: nothing that has not begun begins, and synchronize()
/// rethrows it, each time. Work that waits for something outside, such as a peer, must be woken by `on_failure`.
class StreamPool {
 public:
  /// The clock must live longer. `on_failure` is called once, by the thread whose work threw, with its text.
  StreamPool(StreamMode mode, Clock& clock, std::function<void(const std::string&)> on_failure = {});
  StreamPool(const StreamPool&) = delete;
  StreamPool& operator=(const StreamPool&) = delete;
  /// Drops what has not begun and waits for what has: synchronize first.
  ~StreamPool();

  /// `op` names the launch in records(). After a failure nothing is launched.
  void launch(models::Stream stream, std::function<void()> work, std::int64_t op = -1);

  Event record(models::Stream stream);
  /// Later launches on the stream begin after the event: all that its stream had been given when it was recorded.
  void wait(models::Stream stream, const Event& event);

  /// Return when all that was launched has ended; rethrow the first exception.
  void synchronize(models::Stream stream);
  void synchronize_all();

  /// Of all launches that ended since the last call, in order of their ends. Synchronise first.
  std::vector<LaunchRecord> take_records();

 private:
  struct Item {
    std::function<void()> work;  ///< empty: waits for `event`
    Event event;
    std::int64_t op = -1;
  };
  struct Lane {
    std::deque<Item> queue;
    std::int64_t launched = 0, ended = 0;  ///< work and events
    bool running = false;
    std::condition_variable changed;  ///< for the lane's own thread
    std::jthread thread;
  };

  static std::size_t index(models::Stream stream) { return static_cast<std::size_t>(stream); }
  bool idle(const Lane& lane) const { return !lane.running && (lane.ended == lane.launched || failure_); }
  void push(models::Stream stream, Item item);
  void serve(models::Stream stream);
  /// Waits for the next work of a lane; false where there will be none.
  bool next(Lane& lane, Item& item, std::unique_lock<std::mutex>& lock);
  /// Drops events that have happened from the front of a lane's queue; whether there is work behind them.
  bool passes_events(Lane& lane);
  void run(models::Stream stream, const Item& item);
  void ended(Lane& lane);
  void fail(const std::exception_ptr& error, const std::string& why);
  void wake_lanes();

  StreamMode mode_;
  Clock& clock_;
  std::function<void(const std::string&)> on_failure_;
  std::mutex mutex_;
  std::condition_variable synchronizing_;
  std::exception_ptr failure_;
  bool closing_ = false;
  std::vector<LaunchRecord> records_;
  std::array<Lane, models::kStreams> lanes_;
};

}  // namespace exec
