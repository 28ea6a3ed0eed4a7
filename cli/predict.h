#pragma once

#include <cstddef>
#include <string>

#include "cli/answer.h"
#include "cli/json_writer.h"
#include "hw/efficiency.h"
#include "models/run.h"
#include "sim/prediction.h"

namespace cli {

/// `stepcast predict`: one training step, forecast.
struct PredictOptions {
  std::string run;              ///< file of the run description
  std::string json, timeline;   ///< where to write; empty: not
  std::string profile;          ///< as read_profile()
  std::string tier = "events";  ///< or `closed`
  bool explain = false;
};

/// Throws hw::InputError. Status kNo where the run does not fit in memory.
Answer predict(const PredictOptions& options, const models::DataDirectory& data);

/// `events` or `closed`; throws hw::InputError on anything else.
sim::Tier parse_tier(const std::string& text);

/// What is printed: docs/cli.md.
std::string prediction_text(const models::Run& run, const sim::Prediction& prediction, std::size_t width);
std::string prediction_json(const models::Run& run, const sim::Prediction& prediction);
/// Its members, in an object that the caller has begun.
void write_prediction(const models::Run& run, const sim::Prediction& prediction, JsonWriter& json);

/// `--explain`: what keeps the step from the speed of light, and what each kind of block costs.
std::string explanation_text(const models::Run& run, const sim::Prediction& prediction,
                             const hw::Efficiency& efficiency, std::size_t width);

}  // namespace cli
