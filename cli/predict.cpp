#include "cli/predict.h"

#include <utility>

#include "cli/data_directory.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/timeline.h"

namespace cli {

sim::Tier parse_tier(const std::string& text) {
  if (text == "events") return sim::Tier::events;
  if (text == "closed") return sim::Tier::closed_form;
  throw hw::InputError("--tier: must be one of closed, events, got " + hw::shortened(hw::printable(text)));
}

Answer predict(const PredictOptions& options, const models::DataDirectory& data) {
  if (options.run.empty()) throw hw::InputError("predict: needs RUN.json, the description of a run (docs/runs.md)");
  const sim::Tier tier = parse_tier(options.tier);
  const bool with_timeline = !options.timeline.empty();
  if (options.timeline == "-") throw hw::InputError("--timeline: must be a file, got -");
  if (with_timeline && tier != sim::Tier::events) throw hw::InputError("--timeline: needs --tier events");

  models::Library library(data);
  const models::Run run = models::parse_run(hw::Node::read_file(options.run), library, false);
  const hw::Efficiency efficiency = hw::parse_efficiency(read_profile(options.profile, data), run.cluster);
  models::Timeline timeline;
  const sim::Prediction prediction = sim::predict(run, efficiency, tier, with_timeline ? &timeline : nullptr);

  Answer answer;
  answer.status = prediction.memory.fits() ? kDone : kNo;
  const PageWidth width = page_width();
  answer.out = prediction_text(run, prediction, width.prose);
  if (options.explain) answer.out += explanation_text(run, prediction, efficiency, width.prose);
  if (with_timeline) {
    write_file(options.timeline, models::to_chrome_trace(timeline, run.id.empty() ? options.run : run.id, "predicted"));
  }
  place_json(options.json, prediction_json(run, prediction), answer.out);
  return answer;
}

}  // namespace cli
