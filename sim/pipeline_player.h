#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"
#include "sim/pipeline.h"

namespace sim {

/// The engine of play_pipeline and pipeline_formula. Times are plain seconds: this is the inner loop of every search.
/// Tasks start as early as their stage's order and their needs allow, so the order in which stages are visited does not
/// matter: a stage runs until it waits for a task that was not played yet, and whoever plays that wakes it.
class PipelinePlayer {
 public:
  using Orders = std::vector<std::vector<models::PipelineTask>>;

  PipelinePlayer(const models::Layout& layout, const Orders& orders, const PipelineTimes& times);

  /// Plays all; throws std::logic_error on a deadlock.
  void run(std::vector<TaskSpan>* spans);

  /// When the result of a forward was there.
  double forward_end(int chunk, int microbatch) const { return result_[forward_id(chunk, microbatch)]; }
  /// When the result of a backward (or input gradient) was there.
  double backward_end(int chunk, int microbatch) const { return result_[backward_id(chunk, microbatch)]; }

  struct Stage {
    std::size_t next = 0;                      ///< index in its order
    std::size_t merge_from = 0, merge_to = 0;  ///< forwards in this range may merge with the backward after them
    double start = -1, end = 0;                ///< of the first and the latest task
    double sent = 0;                           ///< its stream is held by a send until then
    double busy = 0, wait_send = 0;
    std::size_t waits_for = kNothing;  ///< id of a result
  };
  const std::vector<Stage>& stages() const { return stages_; }
  double makespan() const;
  double longest_span() const;  ///< of one stage, its first to its last task

 private:
  static constexpr std::size_t kNothing = static_cast<std::size_t>(-1);
  /// What the inner loop reads of one phase of a chunk. Ids of results are those of microbatch 0.
  struct Way {
    double duration = 0;
    double extra = 0;  ///< longer by this in microbatch `extra_at`
    double early = 0;  ///< its result is there before its end by this, in the same microbatch
    std::int32_t extra_at = -1;
    std::int32_t receiver = -1;     ///< stage that waits for the result, or -1
    std::size_t needed = kNothing;  ///< id of the result that it starts from
    std::size_t result = kNothing;  ///< id of its own
    double receive = 0, send = 0;   ///< transfers of the two; 0 if none
  };
  /// What starts next on a stage: one task, or a merged pair.
  struct Turn {
    double idle_until, start, length;
  };

  std::size_t forward_id(int chunk, int microbatch) const {
    return static_cast<std::size_t>(chunk) * microbatches_ + static_cast<std::size_t>(microbatch);
  }
  std::size_t backward_id(int chunk, int microbatch) const { return half_ + forward_id(chunk, microbatch); }
  Way& way(int chunk, models::Phase phase) {
    return ways_[static_cast<std::size_t>(chunk) * kPhases + static_cast<std::size_t>(phase)];
  }
  const Way& way(const models::PipelineTask& task) const {
    return ways_[static_cast<std::size_t>(task.chunk) * kPhases + static_cast<std::size_t>(task.phase)];
  }
  double saving(const models::PipelineTask& task) const { return saving_[static_cast<std::size_t>(task.chunk)]; }
  void read_chunks(const models::Layout& layout, const PipelineTimes& times);
  void fill_durations(int chunk, const ChunkTimes& times);
  void fill_results(int chunk, bool first, bool last);
  void find_steady(Stage& stage, const std::vector<models::PipelineTask>& order);
  bool merges(const Stage& stage, const std::vector<models::PipelineTask>& order) const;
  bool take(Stage& stage, const models::PipelineTask& task, const Way& mine, Turn& turn) const;
  void advance(int stage, std::vector<TaskSpan>* spans);
  void publish(Stage& stage, const models::PipelineTask& task, const Way& mine);

  static constexpr std::size_t kPhases = 4;
  const Orders& orders_;
  std::vector<Way> ways_;       ///< by chunk and phase
  std::vector<double> saving_;  ///< of a merged pass, by chunk
  std::vector<Stage> stages_;
  std::vector<double> result_;  ///< when each forward, then each backward, was done; negative: not yet
  std::vector<int> ready_;      ///< stages to visit, last in first out
  std::size_t microbatches_ = 0, half_ = 0;
  bool overlapped_ = true, merge_ = false;
};

}  // namespace sim
