#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <system_error>
#include <utility>

#include "cli/output_file.h"
#include "cli/shell_command.h"
#include "cli/tune_measure.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

/// A folder of this process, removed with what is in it.
class ScratchFolder {
 public:
  ScratchFolder() : path_((fs::temp_directory_path() / "stepcast-tune-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) throw hw::InputError(path_ + ": cannot be made");
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string with_words(std::string command, const std::string& word, const std::string& value) {
  for (std::size_t at = 0; (at = command.find(word, at)) != std::string::npos; at += value.size())
    command.replace(at, word.size(), value);
  return command;
}

std::string failure_of(const CommandEnd& end, std::chrono::seconds limit) {
  if (end.stopped) return "stopped";
  if (end.timed_out) return "took longer than " + std::to_string(limit.count()) + " s";
  if (end.status != 0) return "exit status " + std::to_string(end.status);
  return "";
}

std::optional<double> number_in(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r"), to = text.find_last_not_of(" \t\r");
  if (from == std::string_view::npos) return std::nullopt;
  text = text.substr(from, to - from + 1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> told_by(const std::string& line, const std::optional<std::regex>& pattern) {
  if (!pattern) return number_in(line);
  std::smatch found;
  if (!std::regex_search(line, found, *pattern)) return std::nullopt;
  return number_in(found[found.size() > 1 ? 1 : 0].str());
}

tuning::Measurement ran(const TrialCommand& command, const std::string& recipe, int gpus,
                        const std::function<bool()>& stop_asked) {
  const std::string named = with_words(command.command, "{recipe}", shell_quoted(recipe));
  const CommandEnd end = run_command(with_words(named, "{gpus}", std::to_string(gpus)), command.limit, stop_asked);
  tuning::Measurement measured{.failure = failure_of(end, command.limit)};
  if (!measured.failure.empty()) return measured;
  const std::optional<double> time = told_step_time(end.out, command.pattern);
  if (!time)
    measured.failure = command.pattern ? "no line of stdout has a number where --step-time-pattern finds it"
                                       : "no line of stdout is a number";
  else if (*time <= 0) measured.failure = "step time must be positive, got " + std::to_string(*time);
  else measured.steps = {*time};
  return measured;
}

}  // namespace

std::optional<std::string> written_as(const tuning::Proposal& proposal, const tuning::Subject& subject,
                                      models::Library& library, std::string& why) try {
  return proposal.changes.empty() ? subject.text() : subject.saying(proposal.description, library);
} catch (const hw::InputError& error) {
  why = std::string("cannot be written: ") + error.what();
  return std::nullopt;
}

std::optional<double> told_step_time(const std::string& out, const std::optional<std::regex>& pattern) {
  std::optional<double> last;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);)
    if (const auto time = told_by(line, pattern)) last = time;
  return last;
}

tuning::Measure by_command(const TrialCommand& command, const tuning::Subject& subject, models::Library& library,
                           std::function<bool()> stop_asked) {
  const auto folder = std::make_shared<ScratchFolder>();
  const std::string name = fs::path(subject.file()).filename().string();
  return [&command, &subject, &library, folder, name,
          stop = std::move(stop_asked)](const tuning::Proposal& proposal) -> tuning::Measurement {
    const std::string recipe = folder->path() + "/" + name;
    std::string why;
    const std::optional<std::string> text = written_as(proposal, subject, library, why);
    if (!text) return {.failure = why, .refused = true};
    write_file(recipe, *text);
    return ran(command, recipe, proposal.run.layout.gpus, stop);
  };
}

}  // namespace cli
