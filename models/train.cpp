#include "models/train.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace models {
namespace {

void read_schedule(const hw::Node& node, TrainSpec& train) {
  const bool object = node.is_object();
  if (object) node.only({"kind", "warmup_steps", "steps"});
  const hw::Node kind = object ? node.at("kind") : node;
  train.schedule =
      kind.choice({"constant", "cosine"}) == 0 ? LearningRateSchedule::constant : LearningRateSchedule::cosine;
  if (object && node.has("warmup_steps")) train.warmup_steps = node.at("warmup_steps").non_negative_int();
  if (object && node.has("steps")) train.steps = node.at("steps").positive_int();
  if (train.schedule == LearningRateSchedule::cosine && train.steps <= train.warmup_steps)
    node.fail("cosine needs steps, more than warmup_steps");
}

double beta(const hw::Node& node) {
  const double value = node.non_negative();
  if (value >= 1) node.fail("must be below 1");
  return value;
}

}  // namespace

TrainSpec parse_train(const hw::Node& node) {
  node.only({"lr", "betas", "weight_decay", "clip", "seed", "init_std", "data", "schedule"});
  TrainSpec train;
  if (const auto lr = node.find("lr")) train.learning_rate = lr->positive();
  if (const auto decay = node.find("weight_decay")) train.weight_decay = decay->non_negative();
  if (const auto clip = node.find("clip")) train.clip = clip->non_negative();
  if (const auto seed = node.find("seed")) train.seed = static_cast<std::uint64_t>(seed->non_negative_int());
  if (const auto deviation = node.find("init_std")) train.init_std = deviation->positive();
  if (const auto data = node.find("data")) train.data = data->text();
  if (const auto schedule = node.find("schedule")) read_schedule(*schedule, train);
  if (const auto betas = node.find("betas")) {
    const auto values = betas->elements();
    if (values.size() != 2) betas->fail("must be two numbers");
    train.beta1 = beta(values[0]);
    train.beta2 = beta(values[1]);
  }
  return train;
}

double learning_rate(const TrainSpec& train, std::int64_t step) {
  const auto now = static_cast<double>(step), warmup = static_cast<double>(train.warmup_steps);
  if (now < warmup) return train.learning_rate * (now + 1) / warmup;
  if (train.schedule == LearningRateSchedule::constant) return train.learning_rate;
  const double done = std::min(1.0, (now - warmup) / (static_cast<double>(train.steps) - warmup));
  return train.learning_rate * (0.55 + 0.45 * std::cos(std::numbers::pi * done));  // from all of it to a tenth
}

}  // namespace models
