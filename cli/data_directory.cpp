#include "cli/data_directory.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "hw/error_text.h"
#include "hw/input_error.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

bool holds_data(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "hw", error) && fs::is_directory(folder / "models", error);
}

}  // namespace

models::DataDirectory find_data(const std::string& stated) {
  if (!stated.empty()) {
    if (holds_data(stated)) return {stated};
    throw hw::InputError("--data: must be a folder that holds hw/ and models/, got " + hw::printable(stated));
  }
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error);
  std::vector<fs::path> places;
  if (!error) {
    places.push_back((binary.parent_path().parent_path() / "share/stepcast"));
    places.push_back(binary.parent_path() / "share/stepcast");
  }
  places.emplace_back(STEPCAST_SOURCE_DIR);
  std::string looked_in;
  for (const fs::path& place : places) {
    if (holds_data(place)) return {place};
    looked_in += (looked_in.empty() ? "" : ", ") + place.string();
  }
  throw hw::InputError("no machine and model descriptions found in " + looked_in + "; state --data DIR");
}

hw::Node read_profile(const std::string& stated, const models::DataDirectory& data) {
  const std::string name = stated.empty() ? "default" : stated;
  const bool is_path = name.ends_with(".json") || name.find('/') != std::string::npos;
  return hw::Node::read_file(is_path ? fs::path(name) : data.path / "calibration/profiles" / (name + ".json"));
}

std::vector<calibration::FitParameter> read_fit_plan(const std::string& stated, const hw::Node& prior,
                                                     const models::DataDirectory& data) {
  const fs::path path = stated.empty() ? data.path / "calibration/plans/runs.json" : fs::path(stated);
  return calibration::parse_fit_plan(hw::Node::read_file(path), prior);
}

}  // namespace cli
