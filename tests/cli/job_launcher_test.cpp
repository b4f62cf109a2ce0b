// SPDX-License-Identifier: MIT
#include "job_launcher.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace gabra::cli {
namespace {

TEST(JobLauncher, SrunGivesTheLinesToRankZeroAloneAndAnswersAtOnce) {
  CLI::App app;
  FlagSet flags(app);
  for (const char* name : {"--launcher", "--hosts", "--hostfile"}) flags.add(name, "VALUE", "");
  app.parse("--launcher srun");
  FaultList faults;
  FlagReader reader(flags, faults);
  const std::vector<std::string> expected{"srun", "-n", "3", "--input=0", "--unbuffered", "--kill-on-bad-exit=1"};
  EXPECT_EQ(launcher_words(reader, 3), expected);
  EXPECT_TRUE(faults.empty());
}

}  // namespace
}  // namespace gabra::cli
