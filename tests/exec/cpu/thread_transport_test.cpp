#include "exec/cpu/thread_transport.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

namespace exec {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return std::chrono::steady_clock::now() + 30s; }

TEST(ThreadTransport, KeepsTheOrderOfATagAndTagsApart) {
  run_thread_ranks(2, [](Transport& transport) {
    if (transport.rank() == 0) {
      const int first = 1, second = 2, other = 3;
      const Request requests[] = {transport.isend(1, 7, &first, sizeof(int)),
                                  transport.isend(1, 7, &second, sizeof(int)),
                                  transport.isend(1, 8, &other, sizeof(int))};
      for (const Request& request : requests) transport.wait(request, soon());
    } else {
      int first = 0, second = 0, other = 0;
      transport.recv(0, 8, &other, sizeof(int), soon());
      transport.recv(0, 7, &first, sizeof(int), soon());
      transport.recv(0, 7, &second, sizeof(int), soon());
      EXPECT_EQ(first, 1);
      EXPECT_EQ(second, 2);
      EXPECT_EQ(other, 3);
    }
  });
}

TEST(ThreadTransport, ARankMaySendToItself) {
  run_thread_ranks(1, [](Transport& transport) {
    int sent = 5, received = 0;
    const Request sending = transport.isend(0, 0, &sent, sizeof sent);
    transport.recv(0, 0, &received, sizeof received, soon());
    transport.wait(sending, soon());
    EXPECT_EQ(received, 5);
  });
}

/// What the job ends with.
std::string failure(int ranks, const std::function<void(Transport&)>& body) {
  try {
    run_thread_ranks(ranks, body);
  } catch (const TransportError& error) {
    return error.what();
  }
  return "";
}

TEST(ThreadTransport, AMessageThatNobodyTakesIsNamedAtTheDeadline) {
  EXPECT_EQ(failure(1,
                    [](Transport& transport) {
                      const int data = 0;
                      transport.send(0, 3, &data, sizeof data, std::chrono::steady_clock::now() + 10ms);
                    }),
            "rank 0 waits to send 4 bytes (tag 3) to rank 0, beyond the time limit");
}

TEST(ThreadTransport, AWaitForARankThatHasEndedEnds) {
  EXPECT_EQ(failure(2,
                    [](Transport& transport) {
                      int data = 0;
                      if (transport.rank() == 0) transport.recv(1, 3, &data, sizeof data, soon());
                    }),
            "rank 0 waits to receive 4 bytes (tag 3) from rank 1, which has ended");
}

TEST(ThreadTransport, SizesThatDifferAreNamed) {
  const std::string text = failure(2, [](Transport& transport) {
    int data[2] = {};
    if (transport.rank() == 0) transport.send(1, 3, data, 8, soon());
    if (transport.rank() == 1) transport.recv(0, 3, data, 4, soon());
  });
  EXPECT_TRUE(text == "rank 0 waits to send 8 bytes (tag 3) to rank 1, which has 4 bytes" ||
              text == "rank 1 waits to receive 4 bytes (tag 3) from rank 0, which has 8 bytes")
      << text;
}

// The receiver posts only after the sender has withdrawn, so nothing may be left to take.
TEST(ThreadTransport, ARequestThatIsDroppedWithdrawsItsMessage) {
  run_thread_ranks(1, [](Transport& transport) {
    int lost = 1, kept = 2, received = 0;
    (void)transport.isend(0, 0, &lost, sizeof lost);
    const Request sending = transport.isend(0, 0, &kept, sizeof kept);
    transport.recv(0, 0, &received, sizeof received, soon());
    EXPECT_EQ(received, 2);
  });
}

}  // namespace
}  // namespace exec
