#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/earliest_stage.h"
#include "models/layout.h"
#include "models/schedule.h"
#include "models/schedule_orders.h"

/// The list scheduler behind zero_bubble.cpp. Nothing else needs this header.
namespace models {

/// What the scheduler may do, beside the memory limit.
struct ZeroBubbleRule {
  /// How long a microbatch should take through all chunks and back, in periods per chunk; ZB-V's memory has room for 1.
  /// Of the tasks whose inputs are there, that which is due first by this goes first. 0: a microbatch's tasks are all
  /// due at once, so that input gradients, which are of earlier microbatches, go before forwards.
  double stretch = 0;
  /// A stage waits for an input that arrives within this many weight gradients' time, instead of starting one.
  double patience = 1;
  /// Chunk c has at most in_flight - c forwards without an input gradient: what is under way in 1F1B, or in the V.
  bool capped = false;
};

/// Lays out all stages in the order of time.
class ZeroBubbleLayer {
 public:
  ZeroBubbleLayer(const Layout& layout, int microbatches, const PhaseTimes& times, int in_flight,
                  const ZeroBubbleRule& rule);

  /// False if a stage had to idle for `too_long` between its first and its last task; then it stopped there.
  bool run(double too_long);

  /// Idle time of the stage that idles longest between its first and its last task.
  double idle() const;

  /// The orders for `more` microbatches more: a period of the steady state is repeated. Empty if none lasts that
  /// divides `more`.
  std::vector<TaskOrder> longer_orders(int more) const;
  std::vector<TaskOrder> take_orders();

 private:
  static constexpr int kKinds = 3;  ///< forward, input_grad, weight_grad
  using Counts = std::array<std::int32_t, kKinds>;
  enum Kind : std::uint8_t { forward, input_grad, weight_grad };

  struct Chunk {
    int stage = 0, cap = 0;
    bool reserves = false;             ///< leaves the last place to the stage's later chunk
    Counts next{};                     ///< next microbatch
    std::array<double, 2> due{};       ///< of microbatch 0: forward, input gradient
    std::array<double, 2> transfer{};  ///< of the results of forward, input gradient
  };
  struct Stage {
    std::array<int, 2> chunks{};  ///< last in model order first
    double free = 0, idle = 0;
    int held = 0;  ///< chunk forwards without their weight gradient
    bool started = false;
    TaskOrder order;
  };
  struct Choice {
    double due;
    int chunk = -1;
    Kind kind = forward;
  };
  /// What a stage can do.
  struct Outlook {
    Choice best;         ///< of what has arrived: due first
    double blocked = 0;  ///< when the forward is due that has arrived, but memory has no room for
    double arrival = 0;  ///< of the next input
  };

  double& ready(Kind kind, int chunk, int microbatch) {
    return ready_[(static_cast<std::size_t>(kind) * chunks_.size() + static_cast<std::size_t>(chunk)) * row_ +
                  static_cast<std::size_t>(microbatch)];
  }
  Chunk& at(int chunk) { return chunks_[static_cast<std::size_t>(chunk)]; }
  void place_chunks(const Layout& layout, int in_flight, bool capped);
  void set_due_times(double stretch);
  bool decide(int stage, double now);
  bool repeats(std::size_t from, std::size_t to) const;
  std::vector<TaskOrder> with_copies(std::size_t from, std::size_t to, int more) const;
  std::ptrdiff_t started_tasks(const Stage& stage, std::size_t moment) const;
  Outlook look(const Stage& stage, double now);
  Choice pending_weight_grad(const Stage& stage);
  void remember();
  void start(int stage, const Choice& choice, double now);
  void arrive(Kind kind, int chunk, int microbatch, double when);

  PhaseTimes times_;
  ZeroBubbleRule rule_;
  std::size_t microbatches_;
  std::size_t row_;  ///< of ready_: an odd number of cache lines, so that the chunks' rows do not share cache sets
  int per_stage_, in_flight_;
  double period_;  ///< work of a microbatch on a stage
  std::array<double, kKinds> duration_;
  std::vector<Chunk> chunks_;
  std::vector<Stage> stages_;
  std::vector<Counts> history_;  ///< all chunks' `next` when the first chunk's forward of each microbatch started
  std::vector<double> ready_;    ///< when the input of each forward, then input gradient, arrives
  EarliestStage wake_;
};

}  // namespace models
