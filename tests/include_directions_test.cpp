// Guards the one direction of dependency, hw <- models <- {sim, exec}, sim <- {calibration, search} <- cli,
// over every #include of the tree, and that a third-party library is seen only by .cpp files of the folder that owns
// it. The table is the one of README.md, "Folders".
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Names = std::vector<std::string>;

struct Rule {
  std::string folder;  ///< a path prefix; the first matching rule counts
  Names project;       ///< folders whose headers may be included
  Names third_party;   ///< prefixes of <...>, in .cpp and .cu files only
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> table{
      {"hw/", {"hw"}, {"nlohmann/"}},
      {"models/recipes/", {"models", "hw"}, {"nlohmann/", "yaml-cpp/", "toml++/"}},
      {"models/", {"models", "hw"}, {"boost/"}},
      {"sim/", {"sim", "models", "hw"}, {"tbb/", "oneapi/tbb"}},
      {"search/", {"search", "sim", "models", "hw"}, {"tbb/", "oneapi/tbb"}},
      {"exec/cpu/", {"exec", "models", "hw"}, {"cblas.h", "dnnl", "oneapi/dnnl", "mpi.h"}},
      {"exec/cuda/", {"exec", "models", "hw"}, {"cu", "nccl", "cooperative_groups", "mma.h"}},
      {"exec/", {"exec", "models", "hw"}, {}},
      {"bench/mpi/", {"exec", "models", "hw"}, {"mpi.h"}},
      {"calibration/", {"calibration", "sim", "models", "hw"}, {"Eigen/", "unsupported/Eigen/", "zlib.h"}},
      {"cli/", {"cli", "calibration", "search", "exec", "sim", "models", "hw"}, {"CLI/", "fmt/"}},
  };
  return table;
}

bool starts_with_any(std::string_view text, const Names& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) { return text.starts_with(prefix); });
}

/// <vector> and <cmath>, and the headers of POSIX and the compiler that folders share.
bool is_system_header(std::string_view name) {
  static const Names system{"sys/",    "unistd.h", "fcntl.h",  "dlfcn.h",     "poll.h",     "sched.h",
                            "spawn.h", "signal.h", "netinet/", "arpa/inet.h", "pthread.h",  "immintrin.h",
                            "cpuid.h", "netdb.h",  "time.h",   "cxxabi.h",    "arm_neon.h", "linux/"};
  return name.find_first_of("/.") == name.npos || starts_with_any(name, system);
}

/// The rule of tests/<folder>/ is that of <folder>/, with GoogleTest, other test files and a JSON reader (of goldens
/// and of descriptions that a test changes) added.
Rule rule_of(const std::string& path) {
  const bool is_test = path.starts_with("tests/");
  const std::string owner = is_test ? path.substr(path.find('/') + 1) : path;
  Rule rule{path,
            {"hw", "models", "sim", "search", "exec", "calibration", "cli"},
            {"benchmark/"}};  // tests/*.cpp, tests/bench/
  for (const Rule& candidate : rules()) {
    if (!owner.starts_with(candidate.folder)) continue;
    rule = candidate;
    break;
  }
  if (is_test) {
    rule.project.emplace_back("tests");
    rule.third_party.insert(rule.third_party.end(), {"gtest/", "gmock/", "nlohmann/"});
  }
  return rule;
}

/// One line, "path includes name", for each #include of a file that its folder's rule does not allow.
Names broken_includes(const std::string& path, const std::string& text) {
  static const std::regex include{R"re((^|\n)[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"])re"};
  const Rule rule = rule_of(path);
  const bool is_source = path.ends_with(".cpp") || path.ends_with(".cu");
  Names broken;
  for (std::sregex_iterator match{text.begin(), text.end(), include}, end; match != end; ++match) {
    const std::string name = (*match)[3];
    const std::string folder = name.substr(0, name.find('/'));
    const bool allowed =
        (*match)[2] == "\""
            ? name.find('/') != name.npos && std::count(rule.project.begin(), rule.project.end(), folder) > 0
            : is_system_header(name) || (is_source && starts_with_any(name, rule.third_party));
    if (!allowed) broken.push_back(path + " includes " + name);
  }
  return broken;
}

bool is_code(const std::filesystem::path& path) {
  const auto extension = path.extension();
  return extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh";
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

TEST(IncludeDirections, HoldInEveryFile) {
  const std::filesystem::path root{STEPCAST_SOURCE_DIR};
  int files = 0;
  for (const char* folder : {"hw", "models", "sim", "search", "exec", "calibration", "cli", "tests"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root / folder}) {
      if (!is_code(entry.path())) continue;
      ++files;
      const std::string path = std::filesystem::relative(entry.path(), root).generic_string();
      for (const std::string& broken : broken_includes(path, read(entry.path()))) ADD_FAILURE() << broken;
    }
  }
  EXPECT_GT(files, 0) << "no source found below " << root;
}

// The check above could pass by seeing nothing: each kind of break is shown to it once.
TEST(IncludeDirections, AFolderAboveIsRefused) {
  EXPECT_EQ(broken_includes("models/layout.cpp", "#include \"hw/units.h\"\n#include \"sim/price.h\"\n"),
            Names{"models/layout.cpp includes sim/price.h"});
  EXPECT_EQ(broken_includes("sim/price.h", "  #  include \"exec/device.h\"\n"),
            Names{"sim/price.h includes exec/device.h"});
  EXPECT_EQ(broken_includes("tests/hw/node_test.cpp", "#include \"models/model.h\"\n"),
            Names{"tests/hw/node_test.cpp includes models/model.h"});
}

TEST(IncludeDirections, ANameWithoutItsFolderIsRefused) {
  EXPECT_EQ(broken_includes("hw/node.cpp", "#include \"node.h\"\n"), Names{"hw/node.cpp includes node.h"});
}

TEST(IncludeDirections, ThirdPartyIsForItsOwnersSourcesOnly) {
  EXPECT_TRUE(broken_includes("hw/node.cpp", "#include <nlohmann/json.hpp>\n#include <vector>\n").empty());
  EXPECT_EQ(broken_includes("hw/node.h", "#include <nlohmann/json.hpp>\n"),
            Names{"hw/node.h includes nlohmann/json.hpp"});
  EXPECT_EQ(broken_includes("sim/price.cpp", "#include <Eigen/Dense>\n"), Names{"sim/price.cpp includes Eigen/Dense"});
  EXPECT_EQ(broken_includes("exec/run.cpp", "#include <cuda_runtime.h>\n"),
            Names{"exec/run.cpp includes cuda_runtime.h"});
}

}  // namespace
