#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"

namespace models {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// A chunk's progress: its next microbatch in each phase, and when the inputs of each microbatch arrive.
struct Chunk {
  int stage = 0;
  int forward = 0, input_grad = 0, weight_grad = 0;
  std::vector<double> forward_ready, input_grad_ready;
};

struct Stage {
  std::vector<int> chunks;  ///< last in model order first: finishing a microbatch goes before starting one
  double free = 0;
  int held = 0;  ///< chunk forwards without their weight gradient
  int open = 0;  ///< chunk forwards without their input gradient
  int may_open = 0;
  TaskOrder order;
};

struct Choice {
  Phase phase = Phase::forward;
  int chunk = -1;
  double ready = kNever;
};

/// Lays out all ranks in the order of time. A rank that becomes free takes, in this order: an input gradient that has
/// arrived, a forward that has arrived and fits the memory limit, a weight gradient if that ends before the next
/// arrival or memory is full; else it waits for the next arrival.
class Layer {
 public:
  Layer(const Layout& layout, int microbatches, const PhaseTimes& times, const ZeroBubbleRules& rules)
      : times_(times), rules_(rules), microbatches_(microbatches) {
    const auto m = static_cast<std::size_t>(microbatches);
    chunks_.resize(static_cast<std::size_t>(layout.pp) * static_cast<std::size_t>(layout.vp));
    stages_.resize(static_cast<std::size_t>(layout.pp));
    wake_.assign(stages_.size(), 0);
    for (int c = static_cast<int>(chunks_.size()) - 1; c >= 0; --c) {
      Chunk& chunk = at(c);
      chunk.stage = layout.stage_of_chunk(c);
      chunk.forward_ready.assign(m, c == 0 ? 0.0 : kNever);
      chunk.input_grad_ready.assign(m, kNever);
      stage(chunk.stage).chunks.push_back(c);
    }
    for (int i = 0; i < layout.pp; ++i) {
      stage(i).order.reserve(3 * m * stage(i).chunks.size());
      stage(i).may_open = rules.in_flight - (rules.taper ? i : 0);
    }
  }

  void run() {
    for (std::size_t left = 3 * chunks_.size() * static_cast<std::size_t>(microbatches_); left > 0;) {
      const auto next = static_cast<std::size_t>(std::min_element(wake_.begin(), wake_.end()) - wake_.begin());
      if (decide(stages_[next], wake_[next])) --left;
    }
  }

  double makespan() const {
    double end = 0;
    for (const Stage& s : stages_) end = std::max(end, s.free);
    return end;
  }

  std::vector<TaskOrder> take_orders() {
    std::vector<TaskOrder> orders;
    for (Stage& s : stages_) orders.push_back(std::move(s.order));
    return orders;
  }

 private:
  Chunk& at(int chunk) { return chunks_[static_cast<std::size_t>(chunk)]; }
  Stage& stage(int index) { return stages_[static_cast<std::size_t>(index)]; }
  double& wake(const Stage& s) { return wake_[static_cast<std::size_t>(&s - stages_.data())]; }
  int last_chunk() const { return static_cast<int>(chunks_.size()) - 1; }

  /// The forward of chunk c needs memory. The last places are kept for a rank's later chunk, which alone can free some.
  bool fits(const Stage& s, int c) const {
    const int kept = c == s.chunks.front() ? 0 : 1;
    return s.held < rules_.in_flight - kept && s.open < s.may_open - kept;
  }

  Choice next_input_grad(const Stage& s) {
    Choice best{.phase = Phase::input_grad};
    for (const int c : s.chunks) {
      const Chunk& chunk = at(c);
      if (chunk.input_grad == microbatches_) continue;
      const double ready = chunk.input_grad_ready[static_cast<std::size_t>(chunk.input_grad)];
      if (ready < best.ready) best = {Phase::input_grad, c, ready};
    }
    return best;
  }

  Choice next_forward(const Stage& s, double now) {
    Choice best{.phase = Phase::forward};
    for (const int c : s.chunks) {
      const Chunk& chunk = at(c);
      if (chunk.forward == microbatches_ || !fits(s, c)) continue;
      const double ready = std::max(now, chunk.forward_ready[static_cast<std::size_t>(chunk.forward)]);
      if (ready < best.ready) best = {Phase::forward, c, ready};
    }
    return best;
  }

  Choice next_weight_grad(const Stage& s) {
    for (const int c : s.chunks)
      if (at(c).weight_grad < at(c).input_grad) return {Phase::weight_grad, c, 0};
    return {};
  }

  /// Starts a task of the rank that is free now, or puts it to sleep.
  bool decide(Stage& s, double now) {
    const Choice input_grad = next_input_grad(s), forward = next_forward(s, now);
    if (forward.ready <= now && (rules_.forward_first || input_grad.ready > now)) return start(s, forward, now);
    if (input_grad.ready <= now) return start(s, input_grad, now);
    const double arrival = std::min(input_grad.ready, forward.ready);
    const double unknown = now + std::min(times_.forward, times_.input_grad) + times_.send;
    const double gap = (arrival == kNever ? unknown : arrival) - now;
    const Choice weight_grad = next_weight_grad(s);
    if (weight_grad.chunk >= 0 && gap >= times_.weight_grad) return start(s, weight_grad, now);
    if (weight_grad.chunk >= 0 && arrival == kNever) return start(s, weight_grad, now);
    wake(s) = arrival;
    return false;
  }

  bool start(Stage& s, const Choice& choice, double now) {
    Chunk& chunk = at(choice.chunk);
    int microbatch = 0;
    if (choice.phase == Phase::forward) {
      microbatch = chunk.forward++;
      ++s.held;
      ++s.open;
      s.free = wake(s) = now + times_.forward;
      if (choice.chunk == last_chunk()) arrive(choice.chunk, microbatch, chunk.input_grad_ready, s.free);
      else send(choice.chunk, choice.chunk + 1, microbatch, s.free);
    } else if (choice.phase == Phase::input_grad) {
      microbatch = chunk.input_grad++;
      --s.open;
      s.free = wake(s) = now + times_.input_grad;
      if (choice.chunk > 0) send(choice.chunk, choice.chunk - 1, microbatch, s.free);
    } else {
      microbatch = chunk.weight_grad++;
      --s.held;
      s.free = wake(s) = now + times_.weight_grad;
    }
    s.order.push_back({choice.phase, static_cast<std::int16_t>(choice.chunk), microbatch});
    return true;
  }

  void send(int from, int to, int microbatch, double end) {
    const double transfer = at(from).stage == at(to).stage ? 0 : times_.send;
    arrive(to, microbatch, from < to ? at(to).forward_ready : at(to).input_grad_ready, end + transfer);
  }

  /// Wakes the receiver, unless it is busy for longer or wakes earlier anyhow.
  void arrive(int to, int microbatch, std::vector<double>& ready, double when) {
    ready[static_cast<std::size_t>(microbatch)] = when;
    Stage& receiver = stage(at(to).stage);
    wake(receiver) = std::min(wake(receiver), std::max(receiver.free, when));
  }

  PhaseTimes times_;
  ZeroBubbleRules rules_;
  int microbatches_;
  std::vector<Chunk> chunks_;
  std::vector<Stage> stages_;
  std::vector<double> wake_;  ///< when each stage decides next
};

}  // namespace

std::vector<TaskOrder> zero_bubble(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight) {
  const int trial = std::min(microbatches, 3 * layout.pp);
  double shortest = kNever;
  std::vector<TaskOrder> orders;
  ZeroBubbleRules best{.in_flight = in_flight};
  const bool taper = layout.vp == 1;  // a rank of the V holds as much as any other
  for (const ZeroBubbleRules& rules : {ZeroBubbleRules{in_flight, false, false}, {in_flight, taper, true}}) {
    Layer layer(layout, trial, times, rules);
    layer.run();
    if (layer.makespan() >= shortest) continue;
    shortest = layer.makespan();
    best = rules;
    if (trial == microbatches) orders = layer.take_orders();
  }
  if (trial == microbatches) return orders;
  Layer layer(layout, microbatches, times, best);
  layer.run();
  return layer.take_orders();
}

}  // namespace models
