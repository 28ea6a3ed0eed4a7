#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

namespace exec {

/// When a wait gives up.
using Deadline = std::chrono::steady_clock::time_point;

/// A message that did not get through: past its deadline, its peer gone, or of another size than its peer's.
/// what() names the rank, the peer, the tag and the bytes.
struct TransportError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Another rank called fail(); what() is the text that it gave.
struct JobFailed : TransportError {
  using TransportError::TransportError;
};

/// A message under way. Its memory stays with the transport until wait() returns or the last copy of the request is
/// destroyed, which withdraws a message that no peer has taken.
using Request = std::shared_ptr<void>;

/// Tagged messages of bytes between the ranks of one job. Messages from one rank to another with one tag arrive in the
/// order of sending; nothing is buffered, so a send ends when its peer takes it. Any thread of a rank may call.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// tag >= 0. Sizes of both sides must agree. Throws JobFailed.
  virtual Request isend(int to, int tag, const void* data, std::size_t bytes) = 0;
  virtual Request irecv(int from, int tag, void* data, std::size_t bytes) = 0;

  /// Returns when the message is through. Throws TransportError at the deadline, or at once when the peer has ended;
  /// JobFailed when another rank failed.
  virtual void wait(const Request& request, Deadline deadline) = 0;

  /// Makes every present and later call of all ranks throw JobFailed with this text. The first call counts.
  virtual void fail(const std::string& why) = 0;

  void send(int to, int tag, const void* data, std::size_t bytes, Deadline deadline) {
    wait(isend(to, tag, data, bytes), deadline);
  }
  void recv(int from, int tag, void* data, std::size_t bytes, Deadline deadline) {
    wait(irecv(from, tag, data, bytes), deadline);
  }
};

}  // namespace exec
