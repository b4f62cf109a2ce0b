// SPDX-License-Identifier: MIT
#include "mpirun_messages.hpp"

#include <gtest/gtest.h>

namespace gabra::cli {
namespace {

const std::string kEdge(74, '-');

std::string framed(const std::string& text) { return kEdge + "\n" + text + kEdge + "\n"; }

TEST(MpirunMessages, ALineOfARankPassesAtOnce) {
  MpirunMessages messages;
  EXPECT_EQ(messages.pass("step 1/2"), "step 1/2");
  EXPECT_EQ(messages.pass("\nrank 1: no"), "\nrank 1: no");
  EXPECT_EQ(messages.pass("---\n"), "---\n");
  EXPECT_EQ(messages.rest(), "");
}

TEST(MpirunMessages, AKilledRankIsRemembered) {
  MpirunMessages messages;
  EXPECT_EQ(messages.pass(framed("mpirun noticed that process rank 1 with PID 77 on node here exited on signal 9 "
                                 "(Killed).\n")),
            "");
  EXPECT_EQ(messages.ended_rank(), "rank 1 on here was ended by signal 9 (Killed)");
  EXPECT_FALSE(messages.lacks_slots());
  EXPECT_FALSE(messages.has_lost_machine());
}

TEST(MpirunMessages, ALackOfSlotsIsRemembered) {
  MpirunMessages messages;
  EXPECT_EQ(messages.pass(framed("There are not enough slots available in the system to satisfy the 2\n"
                                 "slots that were requested by the application:\n\n  gabra-exec\n")),
            "");
  EXPECT_TRUE(messages.lacks_slots());
}

TEST(MpirunMessages, ALostMachineIsRememberedAndSaid) {
  MpirunMessages messages;
  const std::string frame = framed("ORTE has lost communication with a remote daemon.\n\n  HNP daemon   : here\n");
  EXPECT_EQ(messages.pass(frame), frame);
  EXPECT_TRUE(messages.has_lost_machine());
}

TEST(MpirunMessages, HalfAFrameComesOutAtTheEnd) {
  MpirunMessages messages;
  EXPECT_EQ(messages.pass(kEdge + "\nORTE was"), "");
  EXPECT_EQ(messages.rest(), kEdge + "\nORTE was");
}

}  // namespace
}  // namespace gabra::cli
