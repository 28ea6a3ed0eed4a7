#include "sim/op_player.h"

#include <algorithm>
#include <bit>
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

/// A set of slots, visited in their order.
class SlotSet {
 public:
  void add(std::size_t slot) { bits_ |= std::uint64_t{1} << slot; }
  void add(const SlotSet& others) { bits_ |= others.bits_; }
  void remove(std::size_t slot) { bits_ &= ~(std::uint64_t{1} << slot); }
  bool has(std::size_t slot) const { return (bits_ >> slot & 1) != 0; }
  /// Its only member; kNone if it has none or more.
  int only() const { return bits_ != 0 && (bits_ & (bits_ - 1)) == 0 ? std::countr_zero(bits_) : kNone; }
  /// Calls visit(slot) for each member that there is now.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (std::uint64_t left = bits_; left != 0; left &= left - 1)
      visit(static_cast<std::size_t>(std::countr_zero(left)));
  }

 private:
  std::uint64_t bits_ = 0;
};

/// What becomes of an op.
struct OpState {
  double issued = 0;  ///< when the host has issued it
  int next = kNone;   ///< next op on the same stream of the lane
  bool done = false;
  SlotSet blocked;  ///< slots whose next op waits for its end
};

/// One stream of one lane: the op that runs on it, or else the one that is next.
struct Slot {
  const PlayedOp* ops = nullptr;  ///< of the lane
  OpState* states = nullptr;      ///< of the lane's ops
  int lane = 0;
  Stream stream = Stream::compute;
  Link link = Link::none;  ///< of the running op
  bool compute = false;    ///< the running op takes compute
  bool ready = false;      ///< the next op's needs have ended and the host has issued it
  int op = kNone;          ///< index in the lane; kNone when drained
  double left = 0;         ///< work left of the running op, s
  double gate = 0;         ///< `left` may not fall below this before the op's needs have ended (chunks)
  double stop = 0;         ///< `left` at which something happens: the end, the gate, or a dependant that may start
  double sliver = 0;       ///< of work that counts as done
  double slowness = 1;     ///< s that a second of its work takes
  double started = 0;

  bool paused() const { return left <= gate && gate > 0; }
};

/// A synchronisation waits for the stream it is called on, and so for what that waits for. Gradients and parameters on
/// their way, and copies of activations, have streams of their own (torch: Tensor.cpu() waits for the current stream).
bool holds_up_sync(Stream stream) { return stream != Stream::dp_comm && stream != Stream::copy; }

/// How far a lane's ops have been issued, and how many of those a synchronisation has to wait for.
struct Progress {
  int first = 0;  ///< id of its first op
  int size = 0, issued = 0, unfinished = 0;
  double share = 0;                                   ///< issued ones of all
  std::array<std::int8_t, models::kStreams> slots{};  ///< by stream
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
  void add_lane(int lane, int first);
  void issue();
  int lane_to_issue() const;
  bool host_synchronised(int lane);
  bool needs_met(std::size_t index);
  void start_ready();
  bool start_some();
  void start(std::size_t index);
  bool step_alone();
  void count_running();
  double time_to_next();
  void account(double dt);
  void advance(double dt);
  void finish(std::size_t index);
  void open_gate(Slot& slot) const;

  static const PlayedOp& op(const Slot& slot) { return slot.ops[slot.op]; }

  std::span<const Lane> lanes_;
  Sharing sharing_;
  bool keep_spans_;

  std::vector<OpState> states_;  ///< by lane and op
  std::vector<Slot> slots_;
  std::vector<Progress> progress_;  ///< by lane
  SlotSet waiting_;                 ///< slots whose next op may start, as far as is known
  SlotSet running_;
  SlotSet active_;  ///< running and not paused: what count_running found
  SlotSet gated_;   ///< running, with a gate still closed
  Host host_;

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
  states_.resize(total);
  progress_.resize(lanes.size());
  slots_.reserve(lanes.size() * models::kStreams);
  assert(lanes.size() * models::kStreams <= 64);  // a SlotSet's bits
  to_issue_ = left_ = static_cast<int>(total);
  if (keep_spans) play_.spans.resize(lanes.size());
  int first = 0;
  for (int lane = 0; lane < static_cast<int>(lanes.size()); ++lane) {
    add_lane(lane, first);
    first += static_cast<int>(lanes[at(lane)].size());
  }
  issue();
}

void Player::add_lane(int lane, int first) {
  std::array<int, models::kStreams> heads;
  heads.fill(kNone);
  const Lane ops = lanes_[at(lane)];
  progress_[at(lane)].first = first;
  progress_[at(lane)].size = static_cast<int>(ops.size());
  for (int i = static_cast<int>(ops.size()) - 1; i >= 0; --i) {
    int& head = heads[at(static_cast<int>(ops[at(i)].stream))];
    states_[at(first + i)].next = head;
    head = i;
  }
  for (int stream = 0; stream < models::kStreams; ++stream) {
    if (heads[at(stream)] == kNone) continue;
    progress_[at(lane)].slots[at(stream)] = static_cast<std::int8_t>(slots_.size());
    waiting_.add(slots_.size());
    slots_.push_back({.ops = ops.data(),
                      .states = states_.data() + first,
                      .lane = lane,
                      .stream = static_cast<Stream>(stream),
                      .op = heads[at(stream)]});
  }
  if (keep_spans_) play_.spans[at(lane)].resize(ops.size());
}

/// The lane whose issued share is smallest, of those with ops left to issue.
int Player::lane_to_issue() const {
  if (progress_.size() == 1) return 0;
  int best = kNone;
  double smallest = 1;
  for (int lane = 0; lane < static_cast<int>(progress_.size()); ++lane) {
    const Progress& progress = progress_[at(lane)];
    if (progress.share < smallest && progress.issued < progress.size) {
      smallest = progress.share;
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
    Progress& progress = progress_[at(lane)];
    const PlayedOp& next = lanes_[at(lane)][at(progress.issued)];
    if (next.sync) {
      if (!host_synchronised(lane)) return;
      host_.in_sync = lane;
    }
    host_.time += next.host.value;
    progress.unfinished += holds_up_sync(next.stream);
    states_[at(progress.first + progress.issued)].issued = host_.time;
    ++progress.issued;
    if (progress_.size() > 1) progress.share = progress.issued / static_cast<double>(progress.size);
  }
}

/// Looks at a slot no more until the end of a need that it has to wait for.
bool Player::needs_met(std::size_t index) {
  const Slot& slot = slots_[index];
  const PlayedOp& mine = op(slot);
  for (const std::int16_t need : mine.needs) {
    if (slot.states[need].done) continue;
    if (mine.chunks <= 1) {
      waiting_.remove(index);
      slot.states[need].blocked.add(index);
      return false;
    }
    const PlayedOp& its = slot.ops[need];
    const auto producer_slot = at(progress_[at(slot.lane)].slots[at(static_cast<int>(its.stream))]);
    Slot& producer = slots_[producer_slot];
    if (producer.op != need || !running_.has(producer_slot)) {
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
  int next = kNone;  // slot of the compute stream that gets the device
  waiting_.each([&](std::size_t index) {
    Slot& slot = slots_[index];
    if (slot.op >= progress_[at(slot.lane)].issued) return;
    if (!slot.ready) {
      if (!needs_met(index)) return;
      const double issued = slot.states[slot.op].issued;
      if (issued > now_) {
        next_issue_ = std::min(next_issue_, issued);
        return;
      }
      slot.ready = true;
    }
    if (slot.stream != Stream::compute || op(slot).link != Link::none) {
      start(index);
      any = true;
    } else if (!device_taken_ && (next == kNone || slot.lane == device_lane_)) {
      next = static_cast<int>(index);
    }
  });
  if (next == kNone) return any;
  device_taken_ = true;
  device_lane_ = slots_[at(next)].lane;
  start(at(next));
  return true;
}

inline void Player::start(std::size_t index) {
  Slot& slot = slots_[index];
  const PlayedOp& mine = op(slot);
  waiting_.remove(index);
  running_.add(index);
  slot.compute = computes(mine);
  slot.link = mine.link;
  slot.left = mine.time.value;
  // Rounding must not leave a sliver of work: a part in 1e12 of the op counts as done.
  slot.sliver = 1e-12 * mine.time.value;
  slot.gate = slot.stop = 0;
  slot.started = now_;
  if (mine.chunks > 1) {
    slot.gate = slot.stop = mine.time.value / mine.chunks;
    open_gate(slot);
    if (slot.gate > 0) gated_.add(index);
  }
}

void Player::open_gate(Slot& slot) const {
  for (const std::int16_t need : op(slot).needs)
    if (!slot.states[need].done) return;
  if (slot.stop == slot.gate) slot.stop = 0;
  slot.gate = 0;
}

/// If nothing runs beside an op and nothing happens before its end but that the host issues others, it goes on at full
/// speed, up to its end or that. False if it is not so.
bool Player::step_alone() {
  const int index = running_.only();
  if (index == kNone) return false;
  Slot& slot = slots_[at(index)];
  if (slot.gate > 0 || slot.stop > 0) return false;
  const double dt = std::min(next_issue_ - now_, slot.left);
  if (slot.compute) play_.compute_busy.value += dt;
  else if (slot.stream == Stream::host) play_.exposed_host.value += dt;
  else play_.exposed_comm.value += dt, play_.exposed[at(static_cast<int>(slot.stream))].value += dt;
  now_ += dt;
  slot.left -= dt;
  if (slot.left <= slot.sliver) finish(at(index));
  return true;
}

void Player::count_running() {
  computing_ = transfers_ = 0;
  share_ = 0;
  links_ = {1, 0, 0, 0};
  active_ = running_;
  running_.each([&](std::size_t index) {
    const Slot& slot = slots_[index];
    if (slot.paused()) return active_.remove(index);
    computing_ += slot.compute;
    if (slot.compute || slot.stream == Stream::host) return;
    ++transfers_;
    if (slot.link == Link::none) return;
    links_[at(static_cast<int>(slot.link))] += 1;
    if (slot.link == Link::nvlink) share_ = std::max(share_, sharing_.nvlink_sm_share);
    if (slot.link == Link::nic) share_ = std::max(share_, sharing_.nic_sm_share);
  });
  slow_ = computing_ > 0 && (computing_ > 1 || share_ > 0) ? computing_ / (1 - share_) : 1;
}

double Player::time_to_next() {
  double dt = next_issue_ - now_;
  active_.each([&](std::size_t index) {
    Slot& slot = slots_[index];
    slot.slowness = slot.compute ? slow_ : links_[at(static_cast<int>(slot.link))];
    dt = std::min(dt, (slot.left - slot.stop) * slot.slowness);
  });
  return dt;
}

void Player::account(double dt) {
  const hw::Seconds passed{dt};
  if (computing_ > 0) {
    play_.compute_busy += passed;
    play_.slowdown += share_ * passed;
  } else if (transfers_ > 0) {
    play_.exposed_comm += passed;
    active_.each([&](std::size_t index) {
      const Stream stream = slots_[index].stream;
      if (stream != Stream::host) play_.exposed[at(static_cast<int>(stream))] += passed / transfers_;
    });
  } else {
    play_.exposed_host += passed;
  }
}

void Player::advance(double dt) {
  now_ += dt;
  active_.each([&](std::size_t index) {
    Slot& slot = slots_[index];
    slot.left -= slot.slowness == 1 ? dt : dt / slot.slowness;
    if (slot.left > slot.stop + slot.sliver) return;
    slot.left = slot.stop;
    if (slot.stop > slot.gate) {
      slot.stop = slot.gate;
    } else if (slot.gate == 0) {
      finish(index);
    }
  });
  // Only now: a paused op has made no progress during dt.
  gated_.each([&](std::size_t index) {
    open_gate(slots_[index]);
    if (slots_[index].gate == 0) gated_.remove(index);
  });
}

inline void Player::finish(std::size_t index) {
  Slot& slot = slots_[index];
  if (keep_spans_) play_.spans[at(slot.lane)][at(slot.op)] = {{slot.started}, {now_}};
  if (slot.stream != Stream::dp_comm) play_.main_end.value = now_;
  if (slot.stream == Stream::compute && slot.compute) device_taken_ = false;
  OpState& ended = slot.states[slot.op];
  ended.done = true;
  waiting_.add(ended.blocked);
  slot.op = ended.next;
  slot.ready = false;
  running_.remove(index);
  if (slot.op != kNone) waiting_.add(index);
  --left_;
  if (holds_up_sync(slot.stream) && --progress_[at(slot.lane)].unfinished == 0) issue();
}

Play Player::run() {
  while (left_ > 0) {
    start_ready();
    if (step_alone()) continue;
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
