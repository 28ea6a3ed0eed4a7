#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/answer.h"
#include "cli/search.h"
#include "search/standing.h"

namespace cli {

/// `stepcast search --rank-of`. Throws hw::InputError. Status kNo where the space of a run does not have its layout.
Answer rank_of(const SearchOptions& options, const models::DataDirectory& data);

/// A run by name, and where it stands.
struct NamedStanding {
  std::string name;
  search::Standing standing;
};

/// What is printed: docs/search.md.
std::string standings_text(const std::vector<NamedStanding>& standings, std::size_t width);
std::string standings_markdown(const std::vector<NamedStanding>& standings);
std::string standings_json(const std::vector<NamedStanding>& standings);

}  // namespace cli
