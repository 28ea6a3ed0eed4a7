#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "models/layout.h"
#include "models/schedule.h"
#include "sim/pipeline.h"

namespace sim {

/// One task of a plan. Ids of results say where the play keeps when they were there.
struct PlannedTask {
  std::int32_t needed = 0;  ///< id of the result that it starts from
  std::int32_t result = 0;  ///< id of its own
  std::int32_t way = 0;     ///< chunk and phase: 4 * chunk + phase
  std::int16_t stage = 0;
  bool edge = false;    ///< its chunk's first forward or last backward, which may be longer
  bool merged = false;  ///< runs together with the next task of the plan
};

/// The tasks of all stages in one list, each behind what it needs: worked out once for orders that are played with many
/// times. Tasks start as early as their stage's order and their needs allow, so of all such lists each gives the same
/// play.
class PipelinePlan {
 public:
  using Orders = std::vector<std::vector<models::PipelineTask>>;
  static constexpr std::int32_t kPhases = 4;
  /// Results that nothing waits for, and what waits for nothing.
  static constexpr std::int32_t kUnread = 0, kStart = 1;

  /// `merge`: as PipelineTimes::merge_ep. Throws std::logic_error where the orders deadlock.
  PipelinePlan(const models::Layout& layout, const Orders& orders, bool merge);

  const std::vector<PlannedTask>& tasks() const { return tasks_; }
  /// By task of the list.
  models::PipelineTask task(std::size_t i) const;
  int stages() const { return stages_; }
  int chunks() const { return chunks_; }
  std::size_t results() const { return 2 + 2 * half_; }
  std::int32_t forward_id(int chunk, int microbatch) const {
    return 2 + chunk * microbatches_ + static_cast<std::int32_t>(microbatch);
  }
  std::int32_t backward_id(int chunk, int microbatch) const {
    return static_cast<std::int32_t>(half_) + forward_id(chunk, microbatch);
  }

 private:
  class Sorter;
  PlannedTask planned(const models::PipelineTask& task, int stage) const;

  std::vector<PlannedTask> tasks_;
  std::int32_t microbatches_ = 0;
  int stages_ = 0, chunks_ = 0;
  std::size_t half_ = 0;  ///< forward results
};

/// Plays plans. Times are plain seconds: this is the inner loop of every search. Keeps its memory from play to play.
class PipelinePlayer {
 public:
  void play(const models::Layout& layout, const PipelinePlan& plan, const PipelineTimes& times,
            std::vector<TaskSpan>* spans = nullptr);

  /// When the result of an id was there.
  double end(std::int32_t id) const { return result_[static_cast<std::size_t>(id)]; }

  struct Stage {
    double start = -1, end = 0;  ///< of the first and the latest task
    double sent = 0;             ///< its stream is held by a send until then
    double busy = 0, wait_send = 0;
  };
  const std::vector<Stage>& stages() const { return stages_; }
  double makespan() const;
  double longest_span() const;  ///< of one stage, its first to its last task

 private:
  /// What the inner loop reads of one phase of a chunk.
  struct Way {
    double duration = 0;
    double extra = 0;              ///< longer by this at the edge
    double early = 0;              ///< its result is there before its end by this, at the edge
    double receive = 0, send = 0;  ///< transfers of what it needs and of its result; 0 if none
    double saving = 0;             ///< of a merged pass
  };

  Way& way(int chunk, models::Phase phase) {
    return ways_[static_cast<std::size_t>(chunk * PipelinePlan::kPhases) + static_cast<std::size_t>(phase)];
  }
  void read_chunks(const models::Layout& layout, const PipelineTimes& times);
  void fill_durations(int chunk, const ChunkTimes& times);
  template <bool kOverlapped>
  void run(const PipelinePlan& plan, std::vector<TaskSpan>* spans);

  std::vector<Way> ways_;  ///< by chunk and phase
  std::vector<Stage> stages_;
  std::vector<double> result_;  ///< when each was there, by id
};

/// Plans of the schedules that do not depend on times, each made when first asked for.
class PipelinePlans {
 public:
  /// Of models::pipeline_schedule(layout, microbatches, {}, merge). Not for schedules that split backward.
  const PipelinePlan& of(const models::Layout& layout, int microbatches, bool merge);
  PipelinePlayer& player() { return player_; }

 private:
  std::map<std::array<int, 5>, PipelinePlan> plans_;
  PipelinePlayer player_;
};

}  // namespace sim
