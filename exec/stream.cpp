#include "exec/stream.h"

#include <algorithm>
#include <utility>

namespace exec {

StreamPool::StreamPool(StreamMode mode, Clock& clock, std::function<void(const std::string&)> on_failure)
    : mode_(mode), clock_(clock), on_failure_(std::move(on_failure)) {}

StreamPool::~StreamPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    wake_lanes();
  }
  for (Lane& lane : lanes_)
    if (lane.thread.joinable()) lane.thread.join();
}

void StreamPool::launch(models::Stream stream, std::function<void()> work, std::int64_t op) {
  Item item{.work = std::move(work), .event = {}, .op = op};
  std::unique_lock lock(mutex_);
  if (failure_) return;
  ++lanes_[index(stream)].launched;
  if (mode_ == StreamMode::threads) {
    push(stream, std::move(item));
  } else {
    lock.unlock();
    run(stream, item);
  }
}

Event StreamPool::record(models::Stream stream) {
  const std::lock_guard lock(mutex_);
  return {stream, lanes_[index(stream)].launched};
}

void StreamPool::wait(models::Stream stream, const Event& event) {
  const std::lock_guard lock(mutex_);
  if (mode_ == StreamMode::immediate || failure_) return;
  ++lanes_[index(stream)].launched;
  push(stream, {.work = {}, .event = event, .op = -1});
}

void StreamPool::push(models::Stream stream, Item item) {
  Lane& lane = lanes_[index(stream)];
  lane.queue.push_back(std::move(item));
  if (!lane.thread.joinable()) lane.thread = std::jthread([this, stream] { serve(stream); });
  lane.changed.notify_one();
}

void StreamPool::synchronize(models::Stream stream) {
  std::unique_lock lock(mutex_);
  synchronizing_.wait(lock, [&] { return idle(lanes_[index(stream)]); });
  if (failure_) std::rethrow_exception(failure_);
}

void StreamPool::synchronize_all() {
  std::unique_lock lock(mutex_);
  synchronizing_.wait(lock, [&] { return std::ranges::all_of(lanes_, [&](const Lane& lane) { return idle(lane); }); });
  if (failure_) std::rethrow_exception(failure_);
}

std::vector<LaunchRecord> StreamPool::take_records() {
  const std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

void StreamPool::serve(models::Stream stream) {
  Lane& lane = lanes_[index(stream)];
  Item item;
  std::unique_lock lock(mutex_);
  while (next(lane, item, lock)) {
    lane.running = true;
    lock.unlock();
    run(stream, item);
    item = {};  // what the work holds goes before its end is seen
    lock.lock();
    lane.running = false;
    synchronizing_.notify_all();
  }
}

bool StreamPool::next(Lane& lane, Item& item, std::unique_lock<std::mutex>& lock) {
  lane.changed.wait(lock, [&] { return closing_ || failure_ || passes_events(lane); });
  if (closing_ || failure_) return false;
  item = std::move(lane.queue.front());
  lane.queue.pop_front();
  return true;
}

bool StreamPool::passes_events(Lane& lane) {
  for (; !lane.queue.empty() && !lane.queue.front().work; lane.queue.pop_front()) {
    const Event& event = lane.queue.front().event;
    if (lanes_[index(event.stream)].ended < event.launches) return false;
    ended(lane);
  }
  return !lane.queue.empty();
}

void StreamPool::ended(Lane& lane) {
  ++lane.ended;
  wake_lanes();
  synchronizing_.notify_all();
}

void StreamPool::run(models::Stream stream, const Item& item) {
  LaunchRecord record{.stream = stream, .op = item.op, .start = clock_.now(), .end = {}};
  try {
    item.work();
  } catch (const std::exception& error) {
    return fail(std::current_exception(), error.what());
  } catch (...) {
    return fail(std::current_exception(), "not a std::exception");
  }
  record.end = clock_.now();
  const std::lock_guard lock(mutex_);
  records_.push_back(record);
  ended(lanes_[index(stream)]);
}

void StreamPool::fail(const std::exception_ptr& error, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    failure_ = error;
    wake_lanes();
  }
  if (on_failure_) on_failure_(why);
}

void StreamPool::wake_lanes() {
  for (Lane& lane : lanes_) {
    // Those that wait at an event; a lane that runs looks by itself when it is done.
    if (closing_ || failure_ || (!lane.running && !lane.queue.empty())) lane.changed.notify_one();
  }
}

}  // namespace exec
