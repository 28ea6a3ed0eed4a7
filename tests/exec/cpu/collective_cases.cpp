#include "tests/exec/cpu/collective_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "exec/cpu/reduce.h"

namespace exec_test {
namespace {

using exec::Reduction;

template <class T>
std::vector<std::byte> bytes_of(const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

/// bf16 is the upper half of an fp32, exact for whole numbers up to 256.
std::vector<std::byte> encode(hw::DType dtype, const std::vector<double>& values) {
  switch (dtype) {
    case hw::DType::fp64: return bytes_of<double>(values);
    case hw::DType::fp32: return bytes_of<float>(values);
    case hw::DType::int32: return bytes_of<std::int32_t>(values);
    case hw::DType::int64: return bytes_of<std::int64_t>(values);
    default: break;
  }
  std::vector<std::byte> bytes;
  for (const double value : values) {
    const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
    bytes.push_back(static_cast<std::byte>(bits & 0xffU));
    bytes.push_back(static_cast<std::byte>(bits >> 8));
  }
  return bytes;
}

/// Element i of what `rank` contributes, -4 to 8.
double value(int rank, std::int64_t i) { return static_cast<double>((rank * 7 + i * 3) % 13 - 4); }

std::vector<double> values(std::int64_t count, const std::function<double(std::int64_t)>& of) {
  std::vector<double> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(of(i));
  return all;
}

/// One rank's calls, each against what the definition says.
class Checks {
 public:
  Checks(exec::Transport& transport, const exec::CollectiveAlgorithms& algorithms, hw::DType dtype, std::int64_t count)
      : communicator_(transport, everyone(transport), algorithms),
        dtype_(dtype),
        count_(count),
        element_(exec::element_bytes(dtype)),
        row_(static_cast<std::size_t>(count) * element_) {}

  void all() {
    for (const Reduction reduction : {Reduction::sum, Reduction::max}) {
      all_reduce(reduction);
      reduce_scatter(reduction);
    }
    all_gather();
    all_to_all();
    all_to_all_with_counts();
    for (int root = 0; root < size(); ++root) broadcast(root);
    ring_step();
    send_and_recv();
    communicator_.barrier();
  }

 private:
  int size() const { return communicator_.size(); }
  int rank() const { return communicator_.rank(); }
  std::int64_t rows() const { return size() * count_; }
  std::size_t bytes(std::int64_t elements) const { return static_cast<std::size_t>(elements) * element_; }

  double reduced(Reduction reduction, std::int64_t i) const {
    double result = value(0, i);
    for (int r = 1; r < size(); ++r)
      result = reduction == Reduction::sum ? result + value(r, i) : std::max(result, value(r, i));
    return result;
  }
  std::vector<std::byte> mine(std::int64_t count) const {
    return encode(dtype_, values(count, [&](std::int64_t i) { return value(rank(), i); }));
  }
  void expect(const std::vector<std::byte>& got, const std::vector<double>& wanted, const char* call) const {
    EXPECT_EQ(got, encode(dtype_, wanted))
        << call << " of " << count_ << " " << hw::name(dtype_) << " on rank " << rank() << " of " << size();
  }

  void all_reduce(Reduction reduction) {
    const auto wanted = values(count_, [&](std::int64_t i) { return reduced(reduction, i); });
    std::vector<std::byte> data = mine(count_), apart(row_);
    communicator_.all_reduce(data.data(), apart.data(), count_, dtype_, reduction);
    expect(apart, wanted, "all_reduce");
    EXPECT_EQ(data, mine(count_));
    communicator_.all_reduce(data.data(), data.data(), count_, dtype_, reduction);
    expect(data, wanted, "all_reduce in place");
  }

  void reduce_scatter(Reduction reduction) {
    const auto wanted = values(count_, [&](std::int64_t i) { return reduced(reduction, rank() * count_ + i); });
    std::vector<std::byte> data = mine(rows()), apart(row_);
    communicator_.reduce_scatter(data.data(), apart.data(), count_, dtype_, reduction);
    expect(apart, wanted, "reduce_scatter");
    std::byte* const own = data.data() + static_cast<std::size_t>(rank()) * row_;
    communicator_.reduce_scatter(data.data(), own, count_, dtype_, reduction);
    expect({own, own + row_}, wanted, "reduce_scatter in place");
  }

  void all_gather() {
    const auto wanted = values(rows(), [&](std::int64_t i) { return value(static_cast<int>(i / count_), i % count_); });
    std::vector<std::byte> data = mine(count_), apart(bytes(rows())), in_place(bytes(rows()));
    communicator_.all_gather(data.data(), apart.data(), count_, dtype_);
    expect(apart, wanted, "all_gather");
    std::byte* const own = in_place.data() + static_cast<std::size_t>(rank()) * row_;
    std::copy(data.begin(), data.end(), own);
    communicator_.all_gather(own, in_place.data(), count_, dtype_);
    expect(in_place, wanted, "all_gather in place");
  }

  void all_to_all() {
    const auto wanted = values(
        rows(), [&](std::int64_t i) { return value(static_cast<int>(i / count_), rank() * count_ + i % count_); });
    const std::vector<std::byte> data = mine(rows());
    std::vector<std::byte> apart(bytes(rows()));
    communicator_.all_to_all(data.data(), apart.data(), count_, dtype_);
    expect(apart, wanted, "all_to_all");
  }

  /// Rank r sends r + j elements of its own to rank j, so that some rows are empty.
  void all_to_all_with_counts() {
    if (count_ == 0) return;
    std::vector<std::int64_t> counts;
    std::vector<double> sent, wanted;
    for (int peer = 0; peer < size(); ++peer) {
      counts.push_back(rank() + peer);
      for (int i = 0; i < rank() + peer; ++i) {
        sent.push_back(value(rank(), peer + i));
        wanted.push_back(value(peer, rank() + i));
      }
    }
    const std::vector<std::byte> data = encode(dtype_, sent);
    std::vector<std::byte> apart(data.size());
    communicator_.all_to_all(data.data(), counts, apart.data(), counts, dtype_);
    expect(apart, wanted, "all_to_all with counts");
  }

  void broadcast(int root) {
    std::vector<std::byte> data = mine(count_);
    communicator_.broadcast(data.data(), count_, dtype_, root);
    expect(data, values(count_, [&](std::int64_t i) { return value(root, i); }), "broadcast");
  }

  void ring_step() {
    const int next = (rank() + 1) % size(), last = (rank() + size() - 1) % size();
    const std::vector<std::byte> data = mine(count_);
    std::vector<std::byte> apart(row_);
    communicator_.send_recv(data.data(), next, apart.data(), last, count_, dtype_);
    expect(apart, values(count_, [&](std::int64_t i) { return value(last, i); }), "send_recv");
  }

  /// Each rank to the one above it.
  void send_and_recv() {
    const std::vector<std::byte> data = mine(count_);
    std::vector<std::byte> got(row_);
    if (rank() > 0) {
      communicator_.recv(got.data(), count_, dtype_, rank() - 1);
      expect(got, values(count_, [&](std::int64_t i) { return value(rank() - 1, i); }), "recv");
    }
    if (rank() + 1 < size()) communicator_.send(data.data(), count_, dtype_, rank() + 1);
  }

  exec::CpuCommunicator communicator_;
  hw::DType dtype_;
  std::int64_t count_;
  std::size_t element_, row_;
};

}  // namespace

exec::RankGroup everyone(const exec::Transport& transport) {
  exec::RankGroup group{.id = 0, .name = "all", .ranks = {}};
  for (int rank = 0; rank < transport.size(); ++rank) group.ranks.push_back(rank);
  return group;
}

void check_collectives(exec::Transport& transport, const exec::CollectiveAlgorithms& algorithms, hw::DType dtype,
                       std::int64_t count) {
  Checks(transport, algorithms, dtype, count).all();
}

}  // namespace exec_test
