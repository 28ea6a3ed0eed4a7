#include "exec/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "exec/checkpoint_file.h"
#include "exec/checkpoint_manifest.h"
#include "exec/durable_file.h"
#include "exec/element.h"
#include "hw/error_text.h"
#include "hw/input_error.h"
#include "models/numerics.h"

namespace exec {
namespace {

using models::GroupKind;

constexpr std::string_view kStep = "step-";

[[noreturn]] void refuse(const std::string& path, const std::string& rule) {
  throw hw::InputError(hw::printable(path) + ": " + rule);
}

bool is_checkpoint(const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::is_regular_file(folder / "manifest.json", error);
}

// ---- Which elements of a parameter a rank holds ----

/// Elements of a part, row by row: [first, last).
struct ElementRange {
  std::int64_t first = 0, last = 0;
};

/// Those of a parameter's part that lie in `count` elements of its group from `first` on.
ElementRange within(const Parameter& p, std::int64_t first, std::int64_t count) {
  const std::int64_t from = std::clamp<std::int64_t>(first - p.offset, 0, p.elements());
  return {from, std::clamp<std::int64_t>(first + count - p.offset, from, p.elements())};
}

std::int64_t first_weight(const ParameterGroup& group) {
  return group.weights_sharded ? group.total / group.shards * group.index : 0;
}

ElementRange held_weights(const ParameterGroup& group, const Parameter& p) {
  return within(p, first_weight(group), group.weights.columns);
}

ElementRange held_moments(const ParameterGroup& group, const Parameter& p) {
  if (!p.trained) return {};
  return within(p, group.first_owned(), group.owned());
}

/// What this rank writes, so that every element is written once; of weights with fewer cuts than ranks, some twice.
ElementRange written(const ParameterGroup& group, const Parameter& p, const RankGrid& grid) {
  if (p.another_stage_has_it) return {};
  if (!p.weight->cut && grid.index(group.expert ? GroupKind::etp : GroupKind::tp) != 0) return {};
  const bool divided = group.shards > 1 && (p.trained || group.weights_sharded);
  if (!divided && grid.index(group.over) != 0) return {};
  if (group.over == GroupKind::fsdp && grid.index(GroupKind::replica) != 0) return {};
  return p.trained ? held_moments(group, p) : held_weights(group, p);
}

std::size_t width_of(const View& view) { return static_cast<std::size_t>(hw::bytes_per_element(view.dtype)); }

/// Elements of a parameter's part in one of its group's buffers, which begins with element `buffer_first` of the group.
std::byte* elements_in(const View& buffer, const Parameter& p, std::int64_t buffer_first, std::int64_t element) {
  return static_cast<std::byte*>(buffer.data()) +
         static_cast<std::size_t>(p.offset + element - buffer_first) * width_of(buffer);
}

/// Files hold fp64 or fp32, which is exact for bf16 too.
hw::DType saved_type(const models::Run& run) {
  return run.precision == models::Precision::fp64 ? hw::DType::fp64 : hw::DType::fp32;
}

/// Copies of what is kept in bf16, until the file is written.
using Widened = std::deque<std::vector<float>>;

std::span<const std::byte> bytes_in(const View& buffer, const Parameter& p, std::int64_t buffer_first,
                                    ElementRange range, Widened& copies) {
  const auto count = static_cast<std::size_t>(range.last - range.first);
  if (buffer.dtype != hw::DType::bf16)
    return {elements_in(buffer, p, buffer_first, range.first), count * width_of(buffer)};
  std::vector<float>& copy = copies.emplace_back(count);
  for (std::size_t i = 0; i < count; ++i)
    copy[i] = static_cast<float>(element(buffer, p.offset + range.first - buffer_first + static_cast<std::int64_t>(i)));
  return std::as_bytes(std::span<const float>(copy));
}

ParameterToSave to_save(const ParameterGroup& group, const Parameter& p, ElementRange range, Widened& copies) {
  const bool mastered = p.trained && group.master.buffer != nullptr;
  ParameterToSave one{.saved = {.name = p.name,
                                .whole_rows = p.whole_rows,
                                .whole_columns = p.whole_columns,
                                .rows = runs_of(p.row_of),
                                .columns = runs_of(p.column_of),
                                .first = range.first,
                                .last = range.last,
                                .moments = p.trained},
                      .weights = mastered ? bytes_in(group.master, p, group.first_owned(), range, copies)
                                          : bytes_in(group.weights, p, first_weight(group), range, copies),
                      .first_moments = {},
                      .second_moments = {}};
  if (p.trained) {
    one.first_moments = bytes_in(group.first_moments, p, group.first_owned(), range, copies);
    one.second_moments = bytes_in(group.second_moments, p, group.first_owned(), range, copies);
  }
  return one;
}

// ---- Reading ----

/// A vocabulary is padded to what its layout needs: rows behind it mean nothing and are not asked for.
std::int64_t rows_that_count(const std::string& name, std::int64_t rows, std::int64_t vocabulary) {
  const bool of_vocabulary = name == models::kEmbeddingTable || name == models::kHeadLogits;
  return of_vocabulary ? std::min(rows, vocabulary) : rows;
}

/// Where the places of a whole dimension lie in a part; -1: elsewhere.
std::vector<std::int64_t> inverse(const std::vector<std::int64_t>& places, std::int64_t length) {
  std::vector<std::int64_t> at(static_cast<std::size_t>(length), -1);
  for (std::size_t i = 0; i < places.size(); ++i)
    at[static_cast<std::size_t>(places[i])] = static_cast<std::int64_t>(i);
  return at;
}

template <typename T>
T value_of(const std::vector<std::byte>& data, std::int64_t index) {
  T value;
  std::memcpy(&value, data.data() + static_cast<std::size_t>(index) * sizeof value, sizeof value);
  return value;
}

/// A parameter of this rank while it is put together from files.
class Filling {
 public:
  Filling(ParameterGroup& group, Parameter& parameter)
      : group_(group),
        parameter_(parameter),
        row_at_(inverse(parameter.row_of, parameter.whole_rows)),
        column_at_(inverse(parameter.column_of, parameter.whole_columns)),
        has_weight_(static_cast<std::size_t>(parameter.elements())),
        has_moments_(has_weight_.size()) {}

  /// Takes what it needs of a file's part.
  void take(CheckpointFile& file, const SavedParameter& saved) {
    const std::vector<std::int64_t> rows = places_of(saved.rows), columns = places_of(saved.columns);
    std::vector<std::byte> data;
    const auto width = static_cast<std::int64_t>(columns.size());
    for (std::int64_t e = saved.first; e < saved.last; ++e) {
      const std::int64_t mine =
          my_element(rows[static_cast<std::size_t>(e / width)], columns[static_cast<std::size_t>(e % width)]);
      if (mine < 0) continue;
      if (data.empty()) data = file.read(saved);
      put(mine, data, e - saved.first, saved);
    }
  }

  /// Elements of weights and moments that no file had.
  std::int64_t missing(std::int64_t vocabulary) const {
    const ElementRange weights = held_weights(group_, parameter_), moments = held_moments(group_, parameter_);
    const std::int64_t rows = rows_that_count(parameter_.name, parameter_.whole_rows, vocabulary);
    std::int64_t count = 0;
    for (std::int64_t e = 0; e < parameter_.elements(); ++e) {
      if (parameter_.row_of[static_cast<std::size_t>(e / parameter_.columns)] >= rows) continue;
      if (e >= weights.first && e < weights.last) count += !has_weight_[static_cast<std::size_t>(e)];
      if (e >= moments.first && e < moments.last) count += !has_moments_[static_cast<std::size_t>(e)];
    }
    return count;
  }

  const Parameter& parameter() const { return parameter_; }

 private:
  std::int64_t my_element(std::int64_t row, std::int64_t column) const {
    if (row >= parameter_.whole_rows) return -1;
    const std::int64_t r = row_at_[static_cast<std::size_t>(row)], c = column_at_[static_cast<std::size_t>(column)];
    return r < 0 || c < 0 ? -1 : r * parameter_.columns + c;
  }

  double value_at(const std::vector<std::byte>& data, std::int64_t index) const {
    if (group_.weights.dtype == hw::DType::fp64) return value_of<double>(data, index);
    return static_cast<double>(value_of<float>(data, index));
  }

  void put(std::int64_t mine, const std::vector<std::byte>& data, std::int64_t from, const SavedParameter& saved) {
    const std::int64_t part = saved.last - saved.first;
    const auto copy = [&](const View& buffer, std::int64_t buffer_first, std::int64_t block) {
      set_element(buffer, parameter_.offset + mine - buffer_first, value_at(data, block * part + from));
    };
    const ElementRange weights = held_weights(group_, parameter_), moments = held_moments(group_, parameter_);
    if (mine >= weights.first && mine < weights.last) {
      copy(group_.weights, first_weight(group_), 0);
      has_weight_[static_cast<std::size_t>(mine)] = true;
    }
    if (!saved.moments || mine < moments.first || mine >= moments.last) return;
    if (group_.master.buffer) copy(group_.master, group_.first_owned(), 0);
    copy(group_.first_moments, group_.first_owned(), 1);
    copy(group_.second_moments, group_.first_owned(), 2);
    has_moments_[static_cast<std::size_t>(mine)] = true;
  }

  ParameterGroup& group_;
  Parameter& parameter_;
  std::vector<std::int64_t> row_at_, column_at_;
  std::vector<bool> has_weight_, has_moments_;
};

void check_sizes(const CheckpointFile& file, const SavedParameter& saved, const Parameter& mine,
                 std::int64_t vocabulary) {
  const std::int64_t theirs = rows_that_count(saved.name, saved.whole_rows, vocabulary);
  const std::int64_t wanted = rows_that_count(mine.name, mine.whole_rows, vocabulary);
  if (theirs == wanted && saved.whole_columns == mine.whole_columns) return;
  refuse(file.path(), saved.name + " must be " + std::to_string(wanted) + " x " + std::to_string(mine.whole_columns) +
                          ", got " + std::to_string(theirs) + " x " + std::to_string(saved.whole_columns));
}

void check_manifest(const std::string& path, const CheckpointManifest& manifest, const models::Run& run) {
  const hw::DType dtype = saved_type(run);
  if (manifest.model_hash != model_hash(run))
    refuse(path, "is of another model: must be of the run's (" + run.model.name + "), got " +
                     (manifest.model == run.model.name ? "other dimensions" : manifest.model));
  if (manifest.dtype != dtype)
    refuse(path, "must be in the run's precision (" + std::string(hw::name(dtype)) + "), got " +
                     std::string(hw::name(manifest.dtype)));
}

}  // namespace

std::string checkpoint_folder(const std::string& folder, std::int64_t step) {
  return folder + "/" + std::string(kStep) + std::to_string(step);
}

std::optional<std::int64_t> newest_checkpoint(const std::string& folder) {
  std::optional<std::int64_t> newest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kStep) || !is_checkpoint(entry.path())) continue;
    std::int64_t step = 0;
    const auto [end, bad] = std::from_chars(name.data() + kStep.size(), name.data() + name.size(), step);
    if (bad == std::errc() && end == name.data() + name.size() && step > newest.value_or(-1)) newest = step;
  }
  return newest;
}

std::string find_checkpoint(const std::string& folder) {
  if (is_checkpoint(folder)) return folder;
  const auto step = newest_checkpoint(folder);
  if (!step) refuse(folder, "holds no checkpoint: neither manifest.json nor step-N/manifest.json");
  return checkpoint_folder(folder, *step);
}

void save_checkpoint(const std::string& folder, std::int64_t step, const models::Run& run, RankExecutor& executor) {
  const RankGrid& grid = executor.grid();
  const auto ranks = static_cast<std::size_t>(run.layout.gpus), me = static_cast<std::size_t>(grid.rank());
  const std::string checkpoint = checkpoint_folder(folder, step);
  CheckpointManifest manifest{.step = step,
                              .model = run.model.name,
                              .model_hash = model_hash(run),
                              .dtype = saved_type(run),
                              .layout = saved_layout(run.layout),
                              .files = std::vector<FileStamp>(ranks)};
  Widened copies;
  std::vector<ParameterToSave> parameters;
  for (const ParameterGroup& group : executor.parameters().groups())
    for (const Parameter& p : group.parameters)
      if (const ElementRange range = written(group, p, grid); range.first < range.last)
        parameters.push_back(to_save(group, p, range, copies));
  make_folder(checkpoint);
  const FileStamp mine = write_checkpoint_file(rank_file(checkpoint, me),
                                               {.model_hash = manifest.model_hash,
                                                .step = step,
                                                .dtype = manifest.dtype,
                                                .rank = static_cast<std::int32_t>(me),
                                                .layout = manifest.layout},
                                               std::move(parameters));
  // The sum is also where ranks wait for each other's files. A double holds whole numbers up to 2^53.
  std::vector<double> stamps(3 * ranks, 0);
  constexpr std::uint64_t kLow = 0xFFFFFFFF;
  stamps[3 * me] = static_cast<double>(mine.bytes);
  stamps[3 * me + 1] = static_cast<double>(mine.hash >> 32);
  stamps[3 * me + 2] = static_cast<double>(mine.hash & kLow);
  stamps = executor.sum_over_ranks(stamps);
  for (std::size_t rank = 0; rank < ranks; ++rank)
    manifest.files[rank] = {.bytes = static_cast<std::uint64_t>(stamps[3 * rank]),
                            .hash = static_cast<std::uint64_t>(stamps[3 * rank + 1]) << 32 |
                                    static_cast<std::uint64_t>(stamps[3 * rank + 2])};
  if (me == 0) write_manifest(checkpoint, manifest);
}

std::int64_t load_checkpoint(const std::string& checkpoint, const models::Run& run, RankExecutor& executor) {
  const CheckpointManifest manifest = read_manifest(checkpoint);
  check_manifest(checkpoint + "/manifest.json", manifest, run);
  std::map<std::string, Filling> wanted;
  for (ParameterGroup& group : executor.parameters().groups())
    for (Parameter& p : group.parameters) wanted.try_emplace(p.name, group, p);
  for (std::size_t rank = 0; rank < manifest.files.size(); ++rank) {
    CheckpointFile file(rank_file(checkpoint, rank), manifest.files[rank]);
    for (const SavedParameter& saved : file.parameters()) {
      const auto found = wanted.find(saved.name);
      if (found == wanted.end()) continue;
      check_sizes(file, saved, found->second.parameter(), run.model.vocab);
      found->second.take(file, saved);
    }
  }
  for (const auto& [name, filling] : wanted)
    if (const std::int64_t missing = filling.missing(run.model.vocab); missing > 0)
      refuse(checkpoint, "must hold all of " + name + ", but misses " + std::to_string(missing) + " elements");
  return manifest.step;
}

}  // namespace exec
