#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hw/units.h"
#include "tuning/proposal.h"

namespace tuning {

/// What running a layout gave: times of its steps, or why there are none.
struct Measurement {
  std::vector<double> steps = {};  ///< seconds
  std::string failure = {};
  bool refused = false;  ///< a failure before anything ran: it counts as no run
};

/// Runs a layout for real.
using Measure = std::function<Measurement(const Proposal&)>;

/// How layouts are tried.
struct TryPlan {
  int most = 1;          ///< layouts beside the recipe's own
  int rounds = 1;        ///< of each; with more than one, the recipe's own and the other take turns
  double enough = 0.02;  ///< an untried layout that may gain no more is not worth a run
  std::function<bool()> stop_asked = [] { return false; };
  std::function<void(const std::string&)> note = [](const std::string&) {};  ///< told what is done
};

/// A layout that was run.
struct Trial {
  std::size_t layout = 0;          ///< 0: the recipe's own; i: others[i - 1]
  std::vector<double> steps = {};  ///< seconds, of all rounds
  std::string failure = {};        ///< empty: it ran
  bool refused = false;            ///< never ran: the format or the executor has not what it needs
  hw::Seconds predicted = {};      ///< before the first run
  hw::Seconds median = {};         ///< of its steps
  double spread = 0;               ///< 90th less 10th percentile of its steps, over the median
  double ratio = 1;                ///< to the recipe's own: median over rounds of undisturbed steps taken in turns
  hw::Seconds time = {};           ///< ratio times the median of the recipe's own: free of the machine's drift
  double deviation = 0;            ///< of the logarithm of `time`
  hw::Seconds refitted = {};       ///< predicted after the last run
};

enum class TriesEnd { certain, all_used, nothing_left, stopped, recipe_failed };

struct Tries {
  std::vector<Trial> trials;  ///< in the order of the runs
  TriesEnd end = TriesEnd::all_used;
  std::optional<std::size_t> pick;  ///< the trial that is best; nothing where none ran
  double left = 0;                  ///< what any untried layout may gain still: by the 95 % interval of its time
};

/// Runs the recipe's own layout, then the most promising ones: each time that with the lowest end of the 80 % interval
/// of its step time, as corrected by all that was measured (calibration/layout_correction.h). A layout that fails is
/// noted, and counts as a run unless it was refused before. With several rounds the best few are run again, in turns,
/// before one is picked.
Tries try_layouts(const Proposals& proposals, const TryPlan& plan, const Measure& measure);

}  // namespace tuning
