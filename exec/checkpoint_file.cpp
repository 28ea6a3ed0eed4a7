#include "exec/checkpoint_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <system_error>
#include <type_traits>
#include <utility>

#include "exec/durable_file.h"
#include "exec/fnv_hash.h"
#include "hw/error_text.h"
#include "hw/input_error.h"

namespace exec {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

constexpr std::array<char, 8> kMagic = {'s', 't', 'e', 'p', 'c', 'k', 'p', 't'};
constexpr std::uint32_t kVersion = 1;
/// Magic, version, bytes of the index.
constexpr std::size_t kPrefix = kMagic.size() + sizeof(std::uint32_t) + sizeof(std::uint64_t);

[[noreturn]] void refuse(const std::string& path, const std::string& rule) {
  throw hw::InputError(hw::printable(path) + ": " + rule);
}

// ---- One description of the index for both directions ----

struct Packer {
  std::string bytes = {};

  template <typename T>
  void number(const T& value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(const std::string& value) {
    number(static_cast<std::uint32_t>(value.size()));
    bytes += value;
  }
  template <typename T, typename Each>
  void list(const std::vector<T>& values, Each each) {
    number(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) each(*this, value);
  }
};

struct Unpacker {
  std::span<const char> left;
  const std::string& path;

  std::span<const char> take(std::size_t bytes) {
    if (bytes > left.size()) refuse(path, "is damaged: its index ends too early");
    const auto taken = left.first(bytes);
    left = left.subspan(bytes);
    return taken;
  }
  template <typename T>
  void number(T& value) {
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
  }
  void text(std::string& value) {
    std::uint32_t size = 0;
    number(size);
    const auto taken = take(size);
    value.assign(taken.begin(), taken.end());
  }
  template <typename T, typename Each>
  void list(std::vector<T>& values, Each each) {
    std::uint32_t size = 0;
    number(size);
    for (std::uint32_t i = 0; i < size; ++i) each(*this, values.emplace_back());
  }
};

template <typename Coder, typename Runs>
void code_runs(Coder& coder, Runs& runs) {
  coder.list(runs, [](Coder& c, auto& run) {
    c.number(run.first);
    c.number(run.count);
  });
}

template <typename Coder, typename Saved>
void code_parameter(Coder& coder, Saved& saved) {
  coder.text(saved.name);
  coder.number(saved.whole_rows);
  coder.number(saved.whole_columns);
  code_runs(coder, saved.rows);
  code_runs(coder, saved.columns);
  coder.number(saved.first);
  coder.number(saved.last);
  coder.number(saved.moments);
  coder.number(saved.offset);
  coder.number(saved.checksum);
}

template <typename Coder, typename Header, typename List>
void code_index(Coder& coder, Header& header, List& parameters) {
  coder.number(header.model_hash);
  coder.number(header.step);
  coder.number(header.dtype);
  coder.number(header.rank);
  coder.number(header.layout);
  coder.list(parameters, [](Coder& c, auto& saved) { code_parameter(c, saved); });
}
static_assert(std::has_unique_object_representations_v<SavedLayout>);

std::string packed(const CheckpointHeader& header, const std::vector<SavedParameter>& parameters) {
  Packer index;
  code_index(index, header, parameters);
  Packer prefix;
  prefix.number(kMagic);
  prefix.number(kVersion);
  prefix.number(static_cast<std::uint64_t>(index.bytes.size()));
  return prefix.bytes + index.bytes;
}

std::uint64_t hash_of(std::string_view front) { return FnvHash().add(std::as_bytes(std::span(front))).value(); }

std::uint64_t data_bytes(const ParameterToSave& one) {
  return one.weights.size() + one.first_moments.size() + one.second_moments.size();
}

}  // namespace

std::vector<PlaceRun> runs_of(const std::vector<std::int64_t>& places) {
  std::vector<PlaceRun> runs;
  for (const std::int64_t place : places) {
    if (runs.empty() || place != runs.back().first + runs.back().count) runs.push_back({place, 0});
    ++runs.back().count;
  }
  return runs;
}

std::vector<std::int64_t> places_of(const std::vector<PlaceRun>& runs) {
  std::vector<std::int64_t> places;
  for (const PlaceRun& run : runs)
    for (std::int64_t i = 0; i < run.count; ++i) places.push_back(run.first + i);
  return places;
}

FileStamp write_checkpoint_file(const std::string& path, const CheckpointHeader& header,
                                std::vector<ParameterToSave> parameters) {
  std::vector<SavedParameter> index;
  for (const ParameterToSave& one : parameters) {
    index.push_back(one.saved);
    index.back().checksum = FnvHash().add(one.weights).add(one.first_moments).add(one.second_moments).value();
  }
  std::uint64_t offset = packed(header, index).size();  // whatever the offsets, it is as long
  for (std::size_t i = 0; i < index.size(); ++i) {
    index[i].offset = offset;
    offset += data_bytes(parameters[i]);
  }
  const std::string front = packed(header, index);
  DurableFile file(path);
  file.write(front.data(), front.size());
  for (const ParameterToSave& one : parameters)
    for (const auto& bytes : {one.weights, one.first_moments, one.second_moments})
      file.write(bytes.data(), bytes.size());
  file.commit();
  return {.bytes = offset, .hash = hash_of(front)};
}

CheckpointFile::CheckpointFile(std::string path, const FileStamp& stamp)
    : path_(std::move(path)), in_(path_, std::ios::binary) {
  if (!in_) refuse(path_, "cannot be read, but the checkpoint's manifest.json names it");
  in_.seekg(0, std::ios::end);
  const auto bytes = static_cast<std::uint64_t>(in_.tellg());
  in_.seekg(0);
  std::array<char, kPrefix> prefix{};
  in_.read(prefix.data(), prefix.size());
  if (bytes < kPrefix || std::memcmp(prefix.data(), kMagic.data(), kMagic.size()) != 0)
    refuse(path_, bytes < kPrefix && bytes < stamp.bytes ? "is truncated: must have " + std::to_string(stamp.bytes) +
                                                               " bytes, got " + std::to_string(bytes)
                                                         : "is not a file of a stepcast checkpoint");
  std::uint32_t version = 0;
  std::uint64_t index_bytes = 0;
  std::memcpy(&version, prefix.data() + kMagic.size(), sizeof version);
  std::memcpy(&index_bytes, prefix.data() + kMagic.size() + sizeof version, sizeof index_bytes);
  if (version != kVersion)
    refuse(path_, "must be of version " + std::to_string(kVersion) + ", got " + std::to_string(version));
  if (bytes != stamp.bytes)
    refuse(path_, (bytes < stamp.bytes ? "is truncated: must have " : "must have ") + std::to_string(stamp.bytes) +
                      " bytes, got " + std::to_string(bytes));
  std::string front(prefix.begin(), prefix.end());
  if (index_bytes <= bytes - kPrefix) {
    front.resize(kPrefix + index_bytes);
    in_.read(front.data() + kPrefix, static_cast<std::streamsize>(index_bytes));
  }
  if (!in_ || hash_of(front) != stamp.hash)
    refuse(path_, "is damaged, or of another checkpoint: its index is not the one that manifest.json describes");
  Unpacker unpacker{.left = std::span<const char>(front).subspan(kPrefix), .path = path_};
  code_index(unpacker, header_, parameters_);
}

std::vector<std::byte> CheckpointFile::read(const SavedParameter& parameter) {
  const auto elements = static_cast<std::size_t>(parameter.last - parameter.first);
  const auto width = static_cast<std::size_t>(hw::bytes_per_element(header_.dtype));
  std::vector<std::byte> data(elements * width * (parameter.moments ? 3 : 1));
  in_.seekg(static_cast<std::streamoff>(parameter.offset));
  in_.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()));
  if (!in_ || FnvHash().add(std::span<const std::byte>(data)).value() != parameter.checksum)
    refuse(path_, "is damaged: " + parameter.name + " does not have its checksum");
  return data;
}

}  // namespace exec
