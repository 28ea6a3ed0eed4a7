#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "hw/dtype.h"

namespace exec {

/// Places first .. first + count - 1 of a dimension.
struct PlaceRun {
  std::int64_t first = 0, count = 0;
};
std::vector<PlaceRun> runs_of(const std::vector<std::int64_t>& places);
std::vector<std::int64_t> places_of(const std::vector<PlaceRun>& runs);

/// What one rank's file of a checkpoint holds of one parameter: elements [first, last) of a part of it, row by row.
struct SavedParameter {
  std::string name;  ///< full: `layer.3.qkv`
  std::int64_t whole_rows = 0, whole_columns = 0;
  std::vector<PlaceRun> rows, columns;  ///< of the part, in the whole parameter
  std::int64_t first = 0, last = 0;
  bool moments = false;        ///< both, behind the weights: trained parameters
  std::uint64_t offset = 0;    ///< of its weights in the file; written by write_checkpoint_file
  std::uint64_t checksum = 0;  ///< of weights and moments; likewise
};

/// Sizes of the layout that wrote it, for people.
struct SavedLayout {
  std::int32_t gpus = 1, tp = 1, pp = 1, vp = 1, cp = 1, ep = 1, etp = 1, dp = 1, fsdp = 0, zero = 0;
  bool operator==(const SavedLayout&) const = default;
};

struct CheckpointHeader {
  std::uint64_t model_hash = 0;
  std::int64_t step = 0;
  hw::DType dtype = hw::DType::fp32;  ///< or fp64
  std::int32_t rank = 0;
  SavedLayout layout = {};
};

/// A parameter with the elements to write.
struct ParameterToSave {
  SavedParameter saved;
  std::span<const std::byte> weights, first_moments, second_moments;
};

/// Size and hash (of header and index, which has the checksums of the data) of a file.
struct FileStamp {
  std::uint64_t bytes = 0, hash = 0;
  bool operator==(const FileStamp&) const = default;
};

/// Writes one rank's file (docs/training.md has the format), whole or not at all. Throws hw::InputError.
FileStamp write_checkpoint_file(const std::string& path, const CheckpointHeader& header,
                                std::vector<ParameterToSave> parameters);

/// One rank's file, open to read. Every refusal is an hw::InputError that names file and rule.
class CheckpointFile {
 public:
  /// Reads header and index. Refuses files that are missing, truncated, not a checkpoint's, of another version, or not
  /// the one that `stamp` describes.
  CheckpointFile(std::string path, const FileStamp& stamp);

  const std::string& path() const { return path_; }
  const CheckpointHeader& header() const { return header_; }
  const std::vector<SavedParameter>& parameters() const { return parameters_; }

  /// Weights, then both moments if there are any: [last - first] elements each. Refuses what its checksum denies.
  std::vector<std::byte> read(const SavedParameter& parameter);

 private:
  std::string path_;
  std::ifstream in_;
  CheckpointHeader header_;
  std::vector<SavedParameter> parameters_;
};

}  // namespace exec
