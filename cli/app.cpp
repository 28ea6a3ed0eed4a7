#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/balance.h"
#include "cli/calibrate_ops.h"
#include "cli/calibrate_runs.h"
#include "cli/data_directory.h"
#include "cli/explain.h"
#include "cli/predict.h"
#include "cli/recipe.h"
#include "cli/search.h"
#include "cli/train.h"
#include "cli/tune.h"
#include "cli/validate.h"
#include "cli/version.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "hw/node.h"

namespace cli {
namespace {

struct Options {
  std::string data;
  CalibrateOpsOptions calibrate_ops;
  CalibrateRunsOptions calibrate_runs;
  ExplainOptions explain;
  PredictOptions predict;
  ValidateOptions validate;
  TrainOptions train;
  RecipeOptions recipe;
  SearchOptions search;
  BalanceOptions balance;
  TuneOptions tune;
};

void add_predict(CLI::App& app, PredictOptions& options) {
  CLI::App& verb = *app.add_subcommand("predict", "step time, MFU, memory and breakdown of one run");
  verb.add_option("RUN.json", options.run, "description of the run: docs/runs.md")->type_name(" ");
  verb.add_option("--json", options.json, "write the answer as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--timeline", options.timeline, "write the step as a trace for Perfetto")->type_name("OUT.json");
  verb.add_flag("--explain", options.explain, "also: what keeps the step from the speed of light, and each block");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.add_option("--tier", options.tier, "how: closed (fast) or events (exact; default)")->type_name("TIER");
  verb.footer(
      "Exit status: 0 it fits, 1 it does not fit, 2 bad input.\n"
      "Example: stepcast predict configs/runs/deepseek-v3-h100-1024.json --explain");
}

void add_explain(CLI::App& app, ExplainOptions& options) {
  CLI::App& verb = *app.add_subcommand("explain", "what changes between two runs, or with another machine");
  verb.add_option("A.json B.json", options.runs, "descriptions of the runs; B = A where only A is named")
      ->type_name(" ");
  verb.add_option("--what-if", options.what_if, "change the machine of B: nic=x2, hbm=+50%, system=gb300")
      ->type_name("CHANGE,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option("--json", options.json, "write the answer as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.add_option("--tier", options.tier, "how: closed (fast) or events (exact; default)")->type_name("TIER");
  verb.footer(
      "Figures and changes: docs/explain.md. Exit status: 0 done, 2 bad input.\n"
      "Example: stepcast explain configs/runs/deepseek-v3-h100-1024.json --what-if nic=x2,hbm=+50%");
}

void add_validate(CLI::App& app, ValidateOptions& options) {
  CLI::App& verb = *app.add_subcommand("validate", "predict measured runs and print the errors");
  verb.add_option("RUNS.jsonl", options.files, "measured runs, one JSON object a line")->type_name("...");
  verb.add_option("--json", options.json, "write rows and summary as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--markdown", options.markdown, "write the summary as Markdown")->type_name("FILE");
  verb.add_option("--order", options.order, "write how well competing layouts are ordered, as Markdown")
      ->type_name("FILE");
  verb.add_option("--fail-above", options.fail_above, "exit 1 if the median |error| is above: 0.15 or 15%")
      ->type_name("X");
  verb.add_option("--by", options.by, "group by framework, model, system, family, precision, task, file")
      ->type_name("KEY...")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option(
          "--cross-validate", options.cross_validate,
          "refit without each group and predict it: layout, model, system, release, framework, framework-model, "
          "file")
      ->type_name("KEY...")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option("--subset", options.subsets, "sum up the rows of these files together")
      ->type_name("NAME=FILE,...")
      ->allow_extra_args(false);
  verb.add_option("--prior", options.prior, "profile that refits start from (tables)")->type_name("FILE|NAME");
  verb.add_option("--plan", options.plan, "what refits may move: docs/calibration.md")->type_name("FILE");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.add_option("--tier", options.tier, "how: closed (fast) or events (exact; default)")->type_name("TIER");
  verb.footer(
      "Exit status: 0 done, 1 the error is above --fail-above, 2 bad input.\n"
      "Example: stepcast validate configs/runs/reference.jsonl --by system");
}

void add_calibrate_ops(CLI::App& verb, CalibrateOpsOptions& options) {
  CLI::App& ops = *verb.add_subcommand("ops", "to measured tables of operators");
  ops.add_option("DIR", options.folder, "folder of tables: docs/calibration.md")->type_name(" ");
  ops.add_option("--prior", options.prior, "profile whose curves are replaced (tables)")->type_name("FILE|NAME");
  ops.add_option("--out", options.out, "write the new profile")->type_name("PROFILE.json");
  ops.add_flag("--curves-only", options.curves_only, "leave the prior's single numbers as they are");
  ops.add_option("--markdown", options.markdown, "write the errors as Markdown")->type_name("FILE");
  ops.add_option("--json", options.json, "write the errors as JSON; - = stdout")->type_name("FILE|-");
}

void add_calibrate(CLI::App& app, CalibrateOpsOptions& ops_options, CalibrateRunsOptions& options) {
  CLI::App& verb = *app.add_subcommand("calibrate", "fit the profile to measurements");
  add_calibrate_ops(verb, ops_options);
  CLI::App& runs = *verb.add_subcommand("runs", "to measured step times");
  runs.add_option("RUNS.jsonl", options.files, "measured runs, one JSON object a line")->type_name("...");
  runs.add_option("--prior", options.prior, "profile to start from (tables)")->type_name("FILE|NAME");
  runs.add_option("--plan", options.plan, "what may move, and how far: docs/calibration.md")->type_name("FILE");
  runs.add_option("--out", options.out, "write the fitted profile")->type_name("PROFILE.json");
  runs.add_flag("--intervals", options.intervals, "cross-validate too, and write 80 % intervals (takes minutes)");
  runs.add_option("--json", options.json, "write the parameters as JSON; - = stdout")->type_name("FILE|-");
}

void add_train(CLI::App& app, TrainOptions& options) {
  CLI::App& verb = *app.add_subcommand("train", "train a run for real, on this machine's CPU");
  verb.add_option("RUN.json", options.run, "description of the run: docs/runs.md")->type_name(" ");
  verb.add_option("--steps", options.steps, "steps in all, a resumed run's included")->type_name("N");
  verb.add_option("--data", options.data, "tokens to train on (default: what the run says)")
      ->type_name("FILE|synthetic");
  verb.add_option("--ranks", options.ranks, "threads, or checked: how many (the run's gpus)")->type_name("threads|N");
  verb.add_option("--streams", options.streams, "a rank's ops one by one (default), or a thread a stream")
      ->type_name("inline|threads");
  verb.add_option("--save", options.save, "write checkpoints, at least at the end")->type_name("DIR");
  verb.add_option("--save-every", options.save_every, "and after every N steps")->type_name("N");
  verb.add_option("--resume", options.resume, "go on from a checkpoint, of any layout")->type_name("DIR");
  verb.add_option("--log", options.log, "write one JSON object a step")->type_name("FILE.jsonl");
  verb.add_option("--trace", options.trace, "write the last step as a trace for Perfetto")->type_name("OUT.json");
  verb.add_option("--trace-ranks", options.trace_ranks, "of it: one a pipeline stage (default), or all")
      ->type_name("stages|all");
  verb.add_option("--json", options.json, "write the summary as JSON; - = stdout")->type_name("FILE|-");
  verb.add_flag("--quiet", options.quiet, "no progress on stderr");
  verb.footer(
      "Alone, ranks are threads; under mpirun or srun each process is one rank. SIGINT or SIGTERM: the step is\n"
      "finished and saved. A data folder is named before the verb: stepcast --data DIR train ...\n"
      "Exit status: 0 done, 1 the loss is no number any more, 2 bad input.\n"
      "Example: stepcast train configs/runs/train_tiny.json --steps 100 --save checkpoints");
}

void add_recipe_input(CLI::App& verb, RecipeOptions& options) {
  verb.add_option("RECIPE", options.recipe, "recipe of a framework: docs/recipes.md")->type_name(" ");
  verb.add_option("--format", options.format, "whose keys it has (default: told from the text)")->type_name("FORMAT");
  verb.add_option("--model", options.model, "name in models/, or a config.json")->type_name("NAME|FILE");
  verb.add_option("--system", options.system, "name in hw/, or a file")->type_name("NAME|FILE");
  verb.add_option("--gpus", options.gpus, "how many")->type_name("N");
  verb.add_option("--release", options.release, "of the framework")->type_name("TEXT");
  verb.add_option("--set", options.set, "any other key of a run, such as precision=bf16")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

void add_recipe(CLI::App& app, RecipeOptions& options) {
  CLI::App& verb = *app.add_subcommand("recipe", "read and write recipes of training frameworks");
  CLI::App& show = *verb.add_subcommand("show", "what was understood of a recipe, and what was not");
  add_recipe_input(show, options);
  show.add_option("--json", options.json, "write the answer as JSON; - = stdout")->type_name("FILE|-");
  CLI::App& convert = *verb.add_subcommand("convert", "into a run description or another framework's recipe");
  add_recipe_input(convert, options);
  convert.add_option("--to", options.to, "run, or a format: docs/recipes.md")->type_name("FORMAT");
  convert.add_option("--out", options.out, "write it there (default: stdout)")->type_name("FILE");
  verb.footer(
      "Formats: megatron-bridge, megatron-lm, automodel, dfm-megatron, dfm-automodel, torchtitan, hugging-face.\n"
      "Exit status: 0 done, 1 the recipe does not say all that a run needs, 2 bad input.\n"
      "Example: stepcast recipe show configs/recipes/qwen3-30b-a3b-h100-8.yaml");
}

void add_search(CLI::App& app, SearchOptions& options) {
  CLI::App& verb = *app.add_subcommand("search", "rank all legal layouts of a model on a machine");
  verb.add_option("QUERY.json", options.query, "what to search for: docs/search.md")->type_name(" ");
  verb.add_option("--model", options.model, "model, as in a run description")->type_name("NAME|FILE");
  verb.add_option("--system", options.system, "machine")->type_name("NAME|FILE");
  verb.add_option("--gpus", options.gpus, "a number, several, or from and to")->type_name("N|N,N|N-N");
  verb.add_option("--gbs", options.gbs, "sequences a step")->type_name("N");
  verb.add_option("--seq", options.seq, "tokens a sequence")->type_name("N");
  verb.add_option("--framework", options.framework, "software stack")->type_name("NAME");
  verb.add_option("--precision", options.precision, "number format of the matmuls (without a query bf16)")
      ->type_name("FORMAT");
  verb.add_option("--objective", options.objective, "step_time, tokens_per_s_per_gpu, cost, energy or memory")
      ->type_name("WHAT");
  verb.add_option("--top", options.top, "layouts to print (10)")->type_name("N");
  verb.add_option("--rerank", options.rerank, "layouts to rank again by events (50)")->type_name("N");
  verb.add_flag("--balance-stages", options.balance_stages,
                "of these, place layers where no stage holds up the others");
  verb.add_option("--json", options.json, "write the answer as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--shard", options.shard, "look at one part of the space only")->type_name("i/n");
  verb.add_option("--merge", options.merge, "make one answer of all shards'")->type_name("ANSWER.json...");
  verb.add_option("--rank-of", options.rank_of, "where these runs stand in the space of their framework")
      ->type_name("RUN.json|RUNS.jsonl...");
  verb.add_option("--check", options.check, "whether bounds and the closed form change the answers of these queries")
      ->type_name("QUERY.json|QUERIES.jsonl...");
  verb.add_option("--effort", options.effort, "what searches of these queries cost in time and memory")
      ->type_name("QUERY.json...");
  verb.add_option("--markdown", options.markdown, "write the table of these three as Markdown")->type_name("FILE");
  verb.add_option("--threads", options.threads, "threads (one a core)")->type_name("N");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.add_flag("--no-prune", options.no_prune, "time every layout that fits; the answer is the same");
  verb.add_flag("--quiet", options.quiet, "no progress on stderr");
  verb.footer(
      "SIGINT or SIGTERM: the answer is the best so far.\n"
      "Exit status: 0 done, 1 nothing fits, 2 bad input.\n"
      "Example: stepcast search configs/searches/gpt3-175b-a100-64.json --top 5");
}

void add_balance(CLI::App& app, BalanceOptions& options) {
  CLI::App& verb =
      *app.add_subcommand("balance", "place the layers of a pipeline so that no stage holds up the others");
  verb.add_option("RUN.json", options.files, "descriptions of runs, or RUNS.jsonl: docs/runs.md")->type_name("...");
  verb.add_option("--out", options.out, "write the run with its new stage layout")->type_name("RUN.json");
  verb.add_option("--json", options.json, "write the answer as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--markdown", options.markdown, "write one line a run as Markdown")->type_name("FILE");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.footer(
      "Exit status: 0 done, 1 it does not fit, 2 bad input.\n"
      "Example: stepcast balance configs/runs/deepseek-v3-h100-1024.json");
}

void add_tries(CLI::App& verb, TuneOptions& options) {
  verb.add_option("--try", options.tries, "run the N most promising layouts for real")->type_name("N");
  verb.add_option("--steps", options.steps, "steps of each run on this machine's CPU (3)")->type_name("N");
  verb.add_option("--command", options.command, "what runs a layout, in place of the CPU executor")
      ->type_name("'CMD {recipe} {gpus}'");
  verb.add_option("--step-time-pattern", options.pattern, "where its stdout has the step time in seconds")
      ->type_name("REGEX");
  verb.add_option("--timeout", options.timeout, "a command's seconds at most (3600)")->type_name("N");
  verb.add_option("--rounds", options.rounds, "runs of each layout, in turns with the recipe's (10; of a command 1)")
      ->type_name("N");
  verb.add_option("--enough", options.enough, "stop where no untried layout may gain more (2%)")->type_name("X");
  verb.add_option("--check", options.check, "then run all layouts in N rounds: how far is the pick from the best?")
      ->type_name("N");
}

void add_tune(CLI::App& app, TuneOptions& options) {
  CLI::App& verb = *app.add_subcommand("tune", "give a recipe back with a faster layout");
  add_recipe_input(verb, options.recipe);
  verb.add_option("--pin", options.pin, "hold a dimension, such as tp=2")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb.add_option("--space", options.space, "values to try of a dimension, such as mbs=1,2")
      ->type_name("KEY=VALUE,...")
      ->allow_extra_args(false);
  verb.add_option("--forbid", options.forbid, "leave such layouts out, such as pp=4,zero=0")
      ->type_name("KEY=VALUE,...")
      ->allow_extra_args(false);
  verb.add_option("--rerank", options.rerank, "layouts to rank by events (50)")->type_name("N");
  verb.add_option("--least-gain", options.least_gain, "a layout that gains less is no better (1%)")->type_name("X");
  add_tries(verb, options);
  verb.add_option("--out", options.recipe.out, "write the recipe there (default: stdout)")->type_name("FILE");
  verb.add_option("--json", options.recipe.json, "write what was found as JSON; - = stdout")->type_name("FILE|-");
  verb.add_option("--threads", options.threads, "threads of the search (one a core)")->type_name("N");
  verb.add_option("--profile", options.profile, "fitted efficiency to use (default)")->type_name("FILE|NAME");
  verb.add_flag("--quiet", options.quiet, "no progress on stderr");
  verb.footer(
      "What is found is told on stdout with --out, else on stderr. SIGINT or SIGTERM: the best so far.\n"
      "Exit status: 0 done, 1 no layout is faster than the recipe's, 2 bad input.\n"
      "Example: stepcast tune configs/recipes/llama3-70b-h100-64.py --out tuned.py");
}

/// Flags that may stand where `verb` is the verb, and those of what is said of it (`recipe show`).
std::vector<std::string> known_flags(const CLI::App& app, const CLI::App* verb) {
  std::vector<const CLI::App*> levels = {&app};
  if (verb) {
    levels.push_back(verb);
    for (const CLI::App* inner : verb->get_subcommands()) levels.push_back(inner);
  }
  std::vector<std::string> names;
  for (const CLI::App* level : levels) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string meant(const std::string& word, const std::vector<std::string>& known) {
  const auto found = hw::nearest(word, known);
  return found ? " (did you mean " + *found + "?)" : "";
}

/// Refuses what CLI11 left over: a misspelt flag first, because its value is left over too.
void refuse_rest(const CLI::App& app, const CLI::App* verb) {
  std::vector<std::string> rest = app.remaining(true);
  std::erase(rest, "--");  // what follows is no flag
  if (rest.empty()) return;
  const auto flag = std::find_if(rest.begin(), rest.end(), [](const auto& word) { return word.starts_with('-'); });
  if (flag != rest.end()) {
    const std::string word = flag->substr(0, flag->find('='));
    throw hw::InputError("unknown flag " + hw::shortened(hw::printable(word)) + meant(word, known_flags(app, verb)));
  }
  const std::string word = hw::shortened(hw::printable(rest.front()));
  if (verb) throw hw::InputError(verb->get_name() + ": unexpected argument " + word);
  std::vector<std::string> verbs;
  for (const CLI::App* known : app.get_subcommands(nullptr)) verbs.push_back(known->get_name());
  throw hw::InputError("unknown verb " + word + meant(rest.front(), verbs) + "; see stepcast --help");
}

void describe(CLI::App& app, Options& options) {
  app.name("stepcast");
  app.set_version_flag("--version", std::string("stepcast ") + kVersion, "the version");
  app.add_option("--data", options.data, "folder of models, machines, stacks and profiles")->type_name("DIR");
  add_predict(app, options.predict);
  add_explain(app, options.explain);
  add_validate(app, options.validate);
  add_calibrate(app, options.calibrate_ops, options.calibrate_runs);
  add_train(app, options.train);
  add_recipe(app, options.recipe);
  add_search(app, options.search);
  add_balance(app, options.balance);
  add_tune(app, options.tune);
  for (CLI::App* level : app.get_subcommands(nullptr)) {
    level->fallthrough();
    level->allow_extras();
    level->set_help_flag("-h,--help", "this text");
    for (CLI::App* inner : level->get_subcommands(nullptr)) {
      inner->fallthrough();
      inner->allow_extras();
      inner->set_help_flag("-h,--help", "this text");
    }
  }
  app.set_help_flag("-h,--help", "this text");
  app.allow_extras();
  app.get_formatter()->column_width(28);
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.get_formatter()->label("Subcommands", "Verbs");
  app.footer("stepcast VERB --help tells the rest. Exit status: 0 done, 1 the answer is no, 2 bad input.");
}

/// CLI11's words for a flag without its value or given twice, as a rule.
std::string complaint(const std::string& what) {
  constexpr std::string_view kNeeds = ": 1 required ", kMissing = " missing", kTwice = ": At Most 1 required";
  if (const auto at = what.find(kTwice); at != std::string::npos) return what.substr(0, at) + ": must be given once";
  const auto at = what.find(kNeeds);
  if (at == std::string::npos || !what.ends_with(kMissing)) return what;
  const auto from = at + kNeeds.size();
  return what.substr(0, at) + ": needs " + what.substr(from, what.size() - kMissing.size() - from);
}

/// --help and --version, answered; nothing where a verb is to be run.
std::optional<Answer> parse(CLI::App& app, int argc, const char* const* argv) try {
  app.parse(argc, argv);
  return std::nullopt;
} catch (const CLI::CallForVersion& version) {
  return Answer{.out = std::string(version.what()) + "\n"};
} catch (const CLI::CallForHelp&) {
  return Answer{.out = app.help()};
} catch (const CLI::ParseError& error) {
  throw hw::InputError(hw::printable(complaint(error.what())));
}

}  // namespace

Answer run(int argc, const char* const* argv) {
  CLI::App app("stepcast forecasts one training step of a large model: time, MFU, memory, and what it is spent on.");
  Options options;
  describe(app, options);
  if (auto answer = parse(app, argc, argv)) return *std::move(answer);

  const std::vector<CLI::App*> verbs = app.get_subcommands();
  refuse_rest(app, verbs.empty() ? nullptr : verbs.front());
  if (verbs.empty()) return {.status = kBadInput, .diagnostics = app.help()};
  if (verbs.size() > 1)
    throw hw::InputError("one verb at a time, got " + verbs[0]->get_name() + " and " + verbs[1]->get_name());
  const models::DataDirectory data = find_data(options.data);
  if (verbs.front()->get_name() == "predict") return predict(options.predict, data);
  if (verbs.front()->get_name() == "explain") return explain(options.explain, data);
  if (verbs.front()->get_name() == "calibrate") {
    if (verbs.front()->got_subcommand("ops")) return calibrate_ops(options.calibrate_ops, data);
    if (verbs.front()->got_subcommand("runs")) return calibrate_runs(options.calibrate_runs, data);
    return {.status = kBadInput, .diagnostics = verbs.front()->help()};
  }
  if (verbs.front()->get_name() == "train") return train(options.train, data);
  if (verbs.front()->get_name() == "recipe") {
    if (verbs.front()->got_subcommand("show")) return show_recipe(options.recipe, data);
    if (verbs.front()->got_subcommand("convert")) return convert_recipe(options.recipe, data);
    return {.status = kBadInput, .diagnostics = verbs.front()->help()};
  }
  if (verbs.front()->get_name() == "balance") return balance(options.balance, data);
  if (verbs.front()->get_name() == "search") return search(options.search, data);
  if (verbs.front()->get_name() == "tune") return tune(options.tune, data);
  return validate(options.validate, data, {argv + 1, argv + argc});
}

}  // namespace cli
