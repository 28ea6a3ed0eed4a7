#pragma once

#include <cstdint>
#include <string>

#include "hw/node.h"

namespace models {

/// How the learning rate goes over the steps.
enum class LearningRateSchedule { constant, cosine };

/// What only the executor needs of a run: its optimizer, data and first values.
struct TrainSpec {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double clip = 1;  ///< of the global gradient norm; 0: none
  std::uint64_t seed = 1;
  double init_std = 0.02;  ///< standard deviation of matrices
  std::string data;        ///< file of tokens; empty: synthetic
  LearningRateSchedule schedule = LearningRateSchedule::constant;
  int warmup_steps = 0, steps = 0;  ///< of the schedule; cosine falls to a tenth at `steps`
};

/// `train` of a run description. Throws InputError.
TrainSpec parse_train(const hw::Node& node);

/// Of step `step`, counted from 0: a linear warm-up, then the schedule.
double learning_rate(const TrainSpec& train, std::int64_t step);

}  // namespace models
