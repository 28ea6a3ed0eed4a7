#include "exec/token_source.h"

#include <cstring>
#include <fstream>
#include <system_error>

#include "exec/random_stream.h"
#include "hw/input_error.h"

namespace exec {
namespace {

constexpr std::int64_t kLongestSequence = std::int64_t{1} << 20;  ///< numbers of the stream between two sequences

std::vector<char> read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw hw::InputError(path + ": cannot be read as a file of tokens");
  std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) throw hw::InputError(path + ": cannot be read as a file of tokens");
  return bytes;
}

}  // namespace

TokenSource TokenSource::synthetic(std::int64_t vocabulary, std::uint64_t seed) {
  TokenSource source;
  source.vocabulary_ = vocabulary;
  source.seed_ = seed;
  return source;
}

TokenSource TokenSource::file(const std::string& path, std::int64_t vocabulary, std::int64_t sequence) {
  TokenSource source;
  source.vocabulary_ = vocabulary;
  source.sequence_ = sequence;
  const std::vector<char> bytes = read_all(path);
  const std::size_t width = vocabulary <= 65'536 ? 2 : 4;
  if (bytes.size() % width != 0)
    throw hw::InputError(path + ": must hold whole tokens of " + std::to_string(width) + " bytes, got " +
                         std::to_string(bytes.size()) + " bytes");
  const std::size_t count = bytes.size() / width;
  if (static_cast<std::int64_t>(count) < sequence)
    throw hw::InputError(path + ": must hold a sequence of " + std::to_string(sequence) + " tokens, got " +
                         std::to_string(count));
  source.all_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t token = 0;
    std::memcpy(&token, bytes.data() + i * width, width);
    if (token >= vocabulary)
      throw hw::InputError(path + ": token " + std::to_string(i) + ": must be below the vocabulary (" +
                           std::to_string(vocabulary) + "), got " + std::to_string(token));
    source.all_[i] = token;
  }
  return source;
}

std::vector<std::int64_t> TokenSource::tokens(std::int64_t r, std::int64_t count) const {
  std::vector<std::int64_t> tokens;
  tokens.reserve(static_cast<std::size_t>(count));
  if (!all_.empty()) {
    const auto size = static_cast<std::int64_t>(all_.size());
    for (std::int64_t p = 0; p < count; ++p)
      tokens.push_back(all_[static_cast<std::size_t>((r * sequence_ + p) % size)]);
    return tokens;
  }
  const RandomStream stream("tokens", seed_);
  for (std::int64_t p = 0; p < count; ++p) {
    const std::uint64_t bits = stream.bits(static_cast<std::uint64_t>(r * kLongestSequence + p));
    const bool fresh = p == 0 || (bits >> 32) % 4 == 0;
    tokens.push_back(fresh ? static_cast<std::int64_t>(bits % static_cast<std::uint64_t>(vocabulary_))
                           : (5 * tokens.back() + 17) % vocabulary_);
  }
  return tokens;
}

}  // namespace exec
