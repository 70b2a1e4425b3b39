#include "common/channel.hpp"

#include "common/job.hpp"
#include "tests/harness/doctest.hpp"

#include <chrono>
#include <memory>
#include <thread>

using namespace std::chrono_literals;

// What depends on the order of the threads is tried in every order, by explore.
TEST_SUITE("channel") {
  TEST_CASE("what is sent is received, in order, also after the sender is gone") {
    auto [sender, receiver] = channel<int>();
    for (int i = 0; i < 3; ++i) sender.send(i);
    {
      const Sender<int> gone = std::move(sender);
    }
    for (int i = 0; i < 3; ++i) CHECK(receiver.recv() == i);
    CHECK_FALSE(receiver.recv());
    CHECK_FALSE(receiver.recv());
  }

  TEST_CASE("assigning to a sender closes the channel it had") {
    auto [sender, receiver] = channel<int>();
    sender = Sender<int>();
    CHECK_FALSE(receiver.recv());
  }

  TEST_CASE("a moved sender still sends, and closes once") {
    auto [sender, receiver] = channel<std::unique_ptr<int>>();
    Sender<std::unique_ptr<int>> other = std::move(sender);
    other.send(std::make_unique<int>(7));
    CHECK(**receiver.recv() == 7);
  }

  TEST_CASE("a sender that is too fast can wait for the receivers, but not forever") {
    auto [sender, receiver] = channel<int>();
    const auto seconds = [&sender = sender](std::chrono::milliseconds limit) {
      const auto begin = std::chrono::steady_clock::now();
      sender.wait_if_more_than(2, limit);
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    sender.send(1);
    sender.send(2);
    CHECK(seconds(20s) < 10);
    sender.send(3);
    CHECK(seconds(20ms) >= 0.02);
    std::thread slow([&receiver = receiver] {
      for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(5ms);
        receiver.recv();
      }
    });
    CHECK(seconds(20s) < 10);
    slow.join();
    CHECK(seconds(20s) < 10);

    // If it is not said how long: a millisecond.
    for (int i = 0; i < 3; ++i) sender.send(i);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) sender.wait_if_more_than(2);
    CHECK(std::chrono::steady_clock::now() - begin < 500ms);
  }

  TEST_CASE("a job holds what can only be moved, and is moved itself") {
    int result = 0;
    Job job([&result, value = std::make_unique<int>(7)] { result = *value; });
    Job moved = std::move(job);
    moved();
    CHECK(result == 7);
  }
}
