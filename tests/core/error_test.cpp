// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"

#include "gabra/core/check.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gabra {
namespace {

TEST(Fault, IsOneLineThatSaysWhereWhatAndWhatIsAllowed) {
  EXPECT_EQ(to_text(Fault{"plan.json: $.stages[2]", "the number -3", "a whole number from 0"}),
            "plan.json: $.stages[2]: saw the number -3; allowed: a whole number from 0");
  EXPECT_EQ(to_text(Fault{"--seed", "nothing", ""}), "--seed: saw nothing");
}

TEST(FaultList, ThrowsAllFaultsAtOnce) {
  FaultList faults;
  EXPECT_TRUE(faults.empty());
  EXPECT_NO_THROW(faults.throw_if_any());
  faults.add("a", "1", "2");
  faults.add("b", "3", "4");
  try {
    faults.throw_if_any();
    FAIL() << "nothing was thrown";
  } catch (const InputError& error) {
    ASSERT_EQ(error.faults().size(), 2U);
    EXPECT_EQ(error.faults()[1].where, "b");
    EXPECT_STREQ(error.what(), "a: saw 1; allowed: 2\nb: saw 3; allowed: 4");
  }
}

TEST(FaultList, CountsFaultsBeyondTheFirstHundred) {
  FaultList faults;
  for (std::size_t i = 0; i < FaultList::kMostFaults + 7; ++i) faults.add("file", "x", "y");
  EXPECT_EQ(faults.size(), FaultList::kMostFaults + 7);
  EXPECT_EQ(faults.faults().size(), FaultList::kMostFaults);
  try {
    faults.throw_if_any();
    FAIL() << "nothing was thrown";
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().size(), FaultList::kMostFaults + 1);
    EXPECT_NE(error.faults().back().seen.find("7 more"), std::string::npos);
  }
}

TEST(FaultList, AppendKeepsOrderAndCount) {
  FaultList first;
  first.add("a", "", "");
  FaultList second;
  for (std::size_t i = 0; i < FaultList::kMostFaults + 1; ++i) second.add("b", "", "");
  first.append(second);
  EXPECT_EQ(first.size(), FaultList::kMostFaults + 2);
  EXPECT_EQ(first.faults()[0].where, "a");
  EXPECT_EQ(first.faults()[1].where, "b");
}

TEST(InQuotes, EscapesWhatATerminalWouldInterpret) {
  EXPECT_EQ(in_quotes("abc"), "\"abc\"");
  EXPECT_EQ(in_quotes("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(in_quotes(std::string_view("\x1b[2J\n\0", 6)), "\"\\x1b[2J\\x0a\\x00\"");
  EXPECT_EQ(in_quotes("\xc3\xa4"), "\"\\xc3\\xa4\"");
}

TEST(InQuotes, CutsLongTexts) {
  EXPECT_EQ(in_quotes(std::string(60, 'a')), "\"" + std::string(60, 'a') + "\"");
  EXPECT_EQ(in_quotes(std::string(61, 'a')), "\"" + std::string(60, 'a') + "...\"");
}

TEST(DidYouMean, NamesTheNearestWithinTwoEdits) {
  const std::vector<std::string> known{"devices", "stages", "schedule"};
  EXPECT_EQ(did_you_mean("device", known), " (did you mean \"devices\"?)");
  EXPECT_EQ(did_you_mean("stagse", known), " (did you mean \"stages\"?)");
  EXPECT_EQ(did_you_mean("network", known), "");
  EXPECT_EQ(did_you_mean("", known), "");
  EXPECT_EQ(did_you_mean(std::string(1'000'000, 'x'), known), "");
}

TEST(DidYouMean, DoesNotReplaceEveryLetter) { EXPECT_EQ(did_you_mean("x", {"id", "M"}), ""); }

TEST(CheckDeathTest, PrintsPlaceConditionAndMessageAndAborts) {
  int evaluations = 0;
  GABRA_CHECK(++evaluations == 1, std::string("never built"));
  EXPECT_EQ(evaluations, 1);
  EXPECT_DEATH(GABRA_CHECK(1 + 1 == 3, "sums are wrong"), "error_test.cpp:[0-9]+: .*1 \\+ 1 == 3.*sums are wrong");
}

}  // namespace
}  // namespace gabra
