#include "exec/launched_rank.h"

#include <charconv>
#include <string_view>
#include <system_error>

namespace exec {
namespace {

struct Names {
  const char *rank, *size;
};
/// SLURM_PROCID alone is in a batch script's environment too; SLURM_STEP_NUM_TASKS only in what srun started.
constexpr Names kLaunchers[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                {"PMI_RANK", "PMI_SIZE"},
                                {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

std::optional<int> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  const std::string_view view(text);
  int value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc() || end != view.data() + view.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<LaunchedRank> launched_rank(const std::function<const char*(const char*)>& variable) {
  for (const Names& names : kLaunchers) {
    const auto rank = number(variable(names.rank)), size = number(variable(names.size));
    if (rank && size && *rank >= 0 && *rank < *size) return LaunchedRank{*rank, *size};
  }
  return std::nullopt;
}

}  // namespace exec
