#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exec/checkpoint_file.h"
#include "models/run.h"

namespace exec {

/// What a checkpoint is, and its files, one a rank. Written last: a checkpoint without it is none.
struct CheckpointManifest {
  std::int64_t step = 0;  ///< steps trained
  std::string model;
  std::uint64_t model_hash = 0;
  hw::DType dtype = hw::DType::fp32;
  SavedLayout layout;
  std::vector<FileStamp> files;  ///< by rank: rank-0.bin ...
};

std::string rank_file(const std::string& folder, std::size_t rank);

/// FOLDER/manifest.json, whole or not at all. Throw hw::InputError.
void write_manifest(const std::string& folder, const CheckpointManifest& manifest);
CheckpointManifest read_manifest(const std::string& folder);

/// Of all of a run that decides which parameters there are and what they mean: the same in every layout.
std::uint64_t model_hash(const models::Run& run);
SavedLayout saved_layout(const models::Layout& layout);

}  // namespace exec
