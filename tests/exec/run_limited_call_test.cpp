// SPDX-License-Identifier: MIT
// What NCCL's blocking calls are made through, with calls that a test can hold up.
#include "gabra/exec/communicator.hpp"
#include "limited_call.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>

namespace gabra::exec {
namespace {

const WaitLimit kLimit{"rank 1, GPU 0", 30.0};

TEST(LimitedCall, RunsTheCallAndPassesOnWhatItThrows) {
  int calls = 0;
  call_within(kLimit, "a connection to rank 2", [&] { ++calls; });
  EXPECT_EQ(calls, 1);
  const auto fails = [] { throw DeviceError("no such network"); };
  try {
    call_within(kLimit, "a connection to rank 2", fails);
    ADD_FAILURE() << "threw nothing";
  } catch (const DeviceError& error) {
    EXPECT_STREQ(error.what(), "no such network");
  }
}

TEST(LimitedCall, NamesWhatDoesNotAnswerWithinTheLimit) {
  const auto end = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  std::string message;
  try {
    call_within({"rank 1, GPU 0", 0.1}, "the NCCL communicator of ranks 0, 1", [end, ended] {
      end->get_future().wait();
      ended->set_value();
    });
  } catch (const DeviceError& error) {
    message = error.what();
  }
  EXPECT_EQ(message, "rank 1, GPU 0: no answer for 0.1 s: waits for the NCCL communicator of ranks 0, 1");
  end->set_value();  // the call left behind goes on, and owns what it touches
  ended->get_future().wait();
}

}  // namespace
}  // namespace gabra::exec
