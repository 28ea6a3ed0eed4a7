#include "exec/training.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "exec/checkpoint.h"

namespace exec {
namespace {

hw::Seconds now() {
  return {std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

class Trainer {
 public:
  Trainer(const models::Run& run, const TrainingPlan& plan, RankExecutor& executor, const TrainingHooks& hooks)
      : run_(run),
        plan_(plan),
        executor_(executor),
        hooks_(hooks),
        peak_(static_cast<std::size_t>(run.layout.gpus), 0.0) {}

  void begin() {
    if (!plan_.resume.empty()) result_.first = load_checkpoint(plan_.resume, run_, executor_);
    result_.last = result_.first;
    if (is_first() && hooks_.on_start) hooks_.on_start(result_.first);
  }

  bool is_over() const { return result_.end != TrainingEnd::done || result_.last >= plan_.steps; }

  void step(const TokenSource& tokens) {
    const hw::Seconds start = now();
    const StepResult one = executor_.step(result_.last, tokens);
    const TrainedStep trained{.step = ++result_.last,
                              .loss = one.loss,
                              .gradient_norm = one.gradient_norm,
                              .learning_rate = models::learning_rate(run_.train, result_.last - 1),
                              .time = now() - start};
    double& peak = peak_[static_cast<std::size_t>(executor_.grid().rank())];
    peak = std::max(peak, static_cast<double>(one.peak_bytes));
    if (is_first() && hooks_.on_step) hooks_.on_step(trained);
    if (!std::isfinite(one.loss)) {
      result_.end = TrainingEnd::diverged;
      return;
    }
    // Ranks hear of a signal at different moments.
    const double asked = hooks_.stop_asked && hooks_.stop_asked() ? 1 : 0;
    if (executor_.sum_over_ranks({asked})[0] > 0 && result_.last < plan_.steps) result_.end = TrainingEnd::stopped;
  }

  void save_if_due() {
    if (plan_.save.empty() || result_.end == TrainingEnd::diverged) return;
    const bool due = plan_.save_every > 0 && result_.last % plan_.save_every == 0;
    if (!due && !is_over()) return;
    save_checkpoint(plan_.save, result_.last, run_, executor_);
    result_.saved.push_back(result_.last);
    if (is_first() && hooks_.on_save) hooks_.on_save(result_.last, checkpoint_folder(plan_.save, result_.last));
  }

  TrainingResult end() {
    for (const double peak : executor_.sum_over_ranks(peak_))
      result_.peak_bytes.push_back(static_cast<std::size_t>(peak));
    return result_;
  }

 private:
  bool is_first() const { return executor_.grid().rank() == 0; }

  const models::Run& run_;
  const TrainingPlan& plan_;
  RankExecutor& executor_;
  const TrainingHooks& hooks_;
  TrainingResult result_;
  std::vector<double> peak_;  ///< by rank, each knows its own
};

}  // namespace

TrainingResult train_rank(const models::Run& run, const TrainingPlan& plan, const TokenSource& tokens,
                          RankExecutor& executor, const TrainingHooks& hooks, const std::function<void()>& after_step) {
  Trainer trainer(run, plan, executor, hooks);
  trainer.begin();
  while (!trainer.is_over()) {
    trainer.step(tokens);
    if (after_step) after_step();
    trainer.save_if_due();
  }
  return trainer.end();
}

}  // namespace exec
