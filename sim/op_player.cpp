#include "sim/op_player.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <limits>

namespace sim {
namespace {

using models::Stream;

constexpr int kNone = -1;
constexpr int kLinks = 4;
constexpr double kNever = std::numeric_limits<double>::infinity();

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool computes(const PlayedOp& op) {
  return op.link == Link::none && (op.stream == Stream::compute || op.stream == Stream::side);
}

/// One stream of one lane: the op that runs on it, or else the one that is next.
struct Slot {
  int lane = 0;
  Stream stream = Stream::compute;
  int op = kNone;         ///< index in the lane; kNone when drained
  int waits_for = kNone;  ///< a need last seen unfinished, so that the others are not looked at again
  bool running = false;
  bool compute = false;    ///< the running op takes compute
  Link link = Link::none;  ///< of the running op
  double left = 0;         ///< work left of the running op, s
  double gate = 0;         ///< `left` may not fall below this before the op's needs have ended (chunks)
  double stop = 0;         ///< `left` at which something happens: the end, the gate, or a dependant that may start
  bool ready = false;      ///< its needs have ended and the host has issued it
  double started = 0;

  bool paused() const { return left <= gate && gate > 0; }
};

/// A synchronisation waits for the stream it is called on, and so for what that waits for. Gradients and parameters on
/// their way, and copies of activations, have streams of their own (torch: Tensor.cpu() waits for the current stream).
bool holds_up_sync(Stream stream) { return stream != Stream::dp_comm && stream != Stream::copy; }

/// How far a lane's ops have been issued, and how many of those a synchronisation has to wait for.
struct Progress {
  int issued = 0, unfinished = 0;
};

/// The host thread that issues the ops of all lanes, in turn as far as each has come.
struct Host {
  double time = 0;
  int in_sync = kNone;  ///< lane of the sync op that it issued last and waits for
};

class Player {
 public:
  Player(std::span<const Lane> lanes, const Sharing& sharing, bool keep_spans);
  Play run();

 private:
  void add_lane(int lane);
  void issue();
  int lane_to_issue() const;
  bool host_synchronised(int lane);
  bool needs_met(Slot& slot);
  void start_ready();
  bool start_some();
  void start(Slot& slot);
  void count_running();
  double inverse_rate(const Slot& slot) const { return slot.compute ? slow_ : links_[at(static_cast<int>(slot.link))]; }
  double time_to_next() const;
  void account(double dt);
  void advance(double dt);
  void finish(Slot& slot);
  void open_gate(Slot& slot) const;

  const PlayedOp& op(int lane, int i) const { return lanes_[at(lane)][at(i)]; }
  std::size_t id(int lane, int i) const { return at(base_[at(lane)] + i); }

  std::span<const Lane> lanes_;
  Sharing sharing_;
  bool keep_spans_;

  std::vector<int> base_;      ///< first id of each lane
  std::vector<int> next_;      ///< by id: next op on the same stream of the lane
  std::vector<double> issue_;  ///< by id: when the host has issued it
  std::vector<char> done_;     ///< by id
  std::vector<Slot> slots_;
  std::vector<Progress> progress_;  ///< by lane
  Host host_;
  std::vector<std::array<std::int8_t, models::kStreams>> slot_of_;  ///< by lane and stream

  double now_ = 0, next_issue_ = kNever;
  int to_issue_ = 0;           ///< ops that the host has not issued
  int left_ = 0;               ///< ops that have not ended
  bool device_taken_ = false;  ///< an op of some lane's compute stream runs
  int device_lane_ = kNone;    ///< the lane that had it last
  bool look_again_ = false;    ///< a chunked op waits for one that has not started
  int computing_ = 0, transfers_ = 0;
  double share_ = 0;                    ///< of compute taken by transfers
  double slow_ = 1;                     ///< seconds per second of compute work
  std::array<double, kLinks> links_{};  ///< ops on each link = seconds per second of transfer; [none]: 1
  Play play_;
};

Player::Player(std::span<const Lane> lanes, const Sharing& sharing, bool keep_spans)
    : lanes_(lanes), sharing_(sharing), keep_spans_(keep_spans) {
  std::size_t total = 0;
  for (const Lane& lane : lanes) total += lane.size();
  next_.resize(total);
  issue_.resize(total);
  done_.resize(total);
  base_.reserve(lanes.size());
  progress_.resize(lanes.size());
  slot_of_.resize(lanes.size());
  slots_.reserve(lanes.size() * models::kStreams);
  to_issue_ = left_ = static_cast<int>(total);
  if (keep_spans) play_.spans.resize(lanes.size());
  int base = 0;
  for (int lane = 0; lane < static_cast<int>(lanes.size()); ++lane) {
    base_.push_back(base);
    base += static_cast<int>(lanes[at(lane)].size());
    add_lane(lane);
  }
  issue();
}

void Player::add_lane(int lane) {
  std::array<int, models::kStreams> first;
  first.fill(kNone);
  const int n = static_cast<int>(lanes_[at(lane)].size());
  for (int i = n - 1; i >= 0; --i) {
    int& head = first[at(static_cast<int>(op(lane, i).stream))];
    next_[id(lane, i)] = head;
    head = i;
  }
  for (int stream = 0; stream < models::kStreams; ++stream) {
    if (first[at(stream)] == kNone) continue;
    slot_of_[at(lane)][at(stream)] = static_cast<std::int8_t>(slots_.size());
    slots_.push_back({.lane = lane, .stream = static_cast<Stream>(stream), .op = first[at(stream)]});
  }
  if (keep_spans_) play_.spans[at(lane)].resize(at(n));
}

/// The lane whose issued share is smallest, of those with ops left to issue.
int Player::lane_to_issue() const {
  int best = kNone;
  double smallest = 1;
  for (int lane = 0; lane < static_cast<int>(lanes_.size()); ++lane) {
    const double share = progress_[at(lane)].issued / std::max(1.0, static_cast<double>(lanes_[at(lane)].size()));
    if (share < smallest && progress_[at(lane)].issued < static_cast<int>(lanes_[at(lane)].size())) {
      smallest = share;
      best = lane;
    }
  }
  return best;
}

/// True, with the host's clock behind all that the lane has issued, once that has ended.
bool Player::host_synchronised(int lane) {
  if (progress_[at(lane)].unfinished > 0) return false;
  host_.time = std::max(host_.time, now_);
  return true;
}

/// Lets the host run as far as it can. A synchronisation waits for its own lane but holds up all of them.
void Player::issue() {
  for (; to_issue_ > 0; --to_issue_) {
    if (host_.in_sync != kNone && !host_synchronised(host_.in_sync)) return;
    host_.in_sync = kNone;
    const int lane = lane_to_issue();
    const PlayedOp& next = op(lane, progress_[at(lane)].issued);
    if (next.sync) {
      if (!host_synchronised(lane)) return;
      host_.in_sync = lane;
    }
    host_.time += next.host.value;
    progress_[at(lane)].unfinished += holds_up_sync(next.stream);
    issue_[id(lane, progress_[at(lane)].issued++)] = host_.time;
  }
}

bool Player::needs_met(Slot& slot) {
  const PlayedOp& mine = op(slot.lane, slot.op);
  if (slot.waits_for != kNone && mine.chunks <= 1 && !done_[id(slot.lane, slot.waits_for)]) return false;
  for (const std::int16_t need : mine.needs) {
    if (done_[id(slot.lane, need)]) continue;
    slot.waits_for = need;
    if (mine.chunks <= 1) return false;
    const PlayedOp& its = op(slot.lane, need);
    Slot& producer = slots_[at(slot_of_[at(slot.lane)][at(static_cast<int>(its.stream))])];
    if (producer.op != need || !producer.running) {
      look_again_ = true;  // it may start at this very moment
      return false;
    }
    const double level = its.time.value * (1 - 1.0 / mine.chunks);
    if (producer.left <= level * (1 + 1e-12)) continue;
    producer.stop = std::max(producer.stop, level);
    return false;
  }
  return true;
}

/// Starts every op that can start now.
void Player::start_ready() {
  do {
    look_again_ = false;
  } while (start_some() && look_again_);
}

/// Starts ready ops, of the lanes' compute streams one, if none runs. True if there were any.
bool Player::start_some() {
  next_issue_ = kNever;
  bool any = false;
  Slot* next = nullptr;  // compute stream that gets the device
  for (Slot& slot : slots_) {
    if (slot.running || slot.op == kNone || slot.op >= progress_[at(slot.lane)].issued) continue;
    const double issued = issue_[id(slot.lane, slot.op)];
    if (!slot.ready) {
      if (!needs_met(slot)) continue;
      if (issued > now_) {
        next_issue_ = std::min(next_issue_, issued);
        continue;
      }
      slot.ready = true;
    }
    if (slot.stream != Stream::compute || op(slot.lane, slot.op).link != Link::none) {
      start(slot);
      any = true;
    } else if (!device_taken_ && (!next || slot.lane == device_lane_)) {
      next = &slot;
    }
  }
  if (next) {
    device_taken_ = true;
    device_lane_ = next->lane;
    start(*next);
  }
  return any || next;
}

void Player::start(Slot& slot) {
  const PlayedOp& mine = op(slot.lane, slot.op);
  slot.running = true;
  slot.compute = computes(mine);
  slot.link = mine.link;
  slot.left = mine.time.value;
  slot.gate = slot.stop = 0;
  slot.started = now_;
  if (mine.chunks > 1) {
    slot.gate = slot.stop = mine.time.value / mine.chunks;
    open_gate(slot);
  }
}

void Player::open_gate(Slot& slot) const {
  for (const std::int16_t need : op(slot.lane, slot.op).needs)
    if (!done_[id(slot.lane, need)]) return;
  if (slot.stop == slot.gate) slot.stop = 0;
  slot.gate = 0;
}

void Player::count_running() {
  computing_ = transfers_ = 0;
  share_ = 0;
  links_ = {1, 0, 0, 0};
  for (const Slot& slot : slots_) {
    if (!slot.running || slot.paused()) continue;
    computing_ += slot.compute;
    if (slot.compute || slot.stream == Stream::host) continue;
    ++transfers_;
    if (slot.link == Link::none) continue;
    links_[at(static_cast<int>(slot.link))] += 1;
    if (slot.link == Link::nvlink) share_ = std::max(share_, sharing_.nvlink_sm_share);
    if (slot.link == Link::nic) share_ = std::max(share_, sharing_.nic_sm_share);
  }
  slow_ = computing_ > 0 ? computing_ / (1 - share_) : 1;
}

double Player::time_to_next() const {
  double dt = next_issue_ - now_;
  for (const Slot& slot : slots_)
    if (slot.running && !slot.paused()) dt = std::min(dt, (slot.left - slot.stop) * inverse_rate(slot));
  return dt;
}

void Player::account(double dt) {
  const hw::Seconds passed{dt};
  if (computing_ > 0) {
    play_.compute_busy += passed;
    play_.slowdown += share_ * passed;
  } else if (transfers_ > 0) {
    play_.exposed_comm += passed;
    for (const Slot& slot : slots_)
      if (slot.running && !slot.paused() && slot.stream != Stream::host)
        play_.exposed[at(static_cast<int>(slot.stream))] += passed / transfers_;
  } else {
    play_.exposed_host += passed;
  }
}

void Player::advance(double dt) {
  now_ += dt;
  for (Slot& slot : slots_) {
    if (!slot.running || slot.paused()) continue;
    slot.left -= dt / inverse_rate(slot);
    // Rounding must not leave a sliver of work: a part in 1e12 of the op counts as done.
    if (slot.left > slot.stop + 1e-12 * op(slot.lane, slot.op).time.value) continue;
    slot.left = slot.stop;
    if (slot.stop > slot.gate) {
      slot.stop = slot.gate;
    } else if (slot.gate == 0) {
      finish(slot);
    }
  }
  // Only now: a paused op has made no progress during dt.
  for (Slot& slot : slots_)
    if (slot.running && slot.gate > 0) open_gate(slot);
}

void Player::finish(Slot& slot) {
  const int lane = slot.lane;
  if (keep_spans_) play_.spans[at(lane)][at(slot.op)] = {{slot.started}, {now_}};
  if (slot.stream != Stream::dp_comm) play_.main_end.value = now_;
  if (slot.stream == Stream::compute && slot.compute) device_taken_ = false;
  done_[id(lane, slot.op)] = 1;
  slot.op = next_[id(lane, slot.op)];
  slot.running = false;
  slot.waits_for = kNone;
  slot.ready = false;
  --left_;
  progress_[at(lane)].unfinished -= holds_up_sync(slot.stream);
  issue();
}

Play Player::run() {
  while (left_ > 0) {
    start_ready();
    count_running();
    const double dt = time_to_next();
    assert(dt < kNever);
    account(dt);
    advance(dt);
  }
  play_.makespan.value = now_;
  return std::move(play_);
}

/// One lane on one stream of compute: ops end one after another.
bool one_compute_stream(std::span<const Lane> lanes) {
  return lanes.size() == 1 && std::ranges::all_of(lanes[0], [](const PlayedOp& op) {
           return op.stream == Stream::compute && op.link == Link::none && !op.sync;
         });
}

Play play_in_order(Lane lane, bool keep_spans) {
  Play result;
  if (keep_spans) result.spans.resize(1);
  double issued = 0, now = 0;
  for (const PlayedOp& op : lane) {
    issued += op.host.value;
    const double start = std::max(now, issued);
    result.exposed_host.value += start - now;
    result.compute_busy += op.time;
    now = start + op.time.value;
    if (keep_spans) result.spans[0].push_back({{start}, {now}});
  }
  result.makespan.value = result.main_end.value = now;
  return result;
}

}  // namespace

Play play(std::span<const Lane> lanes, const Sharing& sharing, bool keep_spans) {
  if (one_compute_stream(lanes)) return play_in_order(lanes[0], keep_spans);
  return Player(lanes, sharing, keep_spans).run();
}

}  // namespace sim
