// SPDX-License-Identifier: MIT
#include "gabra/pool/line_process.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

namespace gabra::pool {
namespace {

using namespace std::chrono_literals;

// A limit that is never reached where all is well.
constexpr auto kLong = 20s;

LineProcessOptions shell(const std::string& script) { return {.words = {"/bin/sh", "-c", script}}; }

/// Whether the process is there and no zombie.
bool is_alive(pid_t process) {
  std::ifstream stream("/proc/" + std::to_string(process) + "/stat");
  std::string id, name, state;
  return static_cast<bool>(stream >> id >> name >> state) && state != "Z" && state != "X";
}

bool ends_soon(pid_t process) {
  for (int i = 0; i < 1000 && is_alive(process); ++i) ::usleep(10000);
  return !is_alive(process);
}

TEST(LineProcess, SpeaksLinesBothWays) {
  LineProcess cat({.words = {"cat"}});
  cat.send("first");
  cat.send("");
  cat.send("third");
  EXPECT_EQ(cat.read_line(kLong), "first");
  EXPECT_EQ(cat.read_line(kLong), "");
  EXPECT_EQ(cat.read_line(kLong), "third");
  EXPECT_EQ(cat.read_line(1ms), std::nullopt);
  EXPECT_FALSE(cat.has_ended());
  cat.close_input();
  EXPECT_TRUE(cat.wait_for_end(kLong));
  EXPECT_EQ(cat.end_reason(), "ended with status 0");
  EXPECT_EQ(cat.end_status(), 0);
}

TEST(LineProcess, CarriesMoreThanPipesHold) {
  // 16 MB each way: neither side may block the other.
  LineProcess cat({.words = {"cat"}});
  const std::string line(1'000'000, 'x');
  for (int i = 0; i < 16; ++i) cat.send(line + std::to_string(i));
  EXPECT_GT(cat.unsent_bytes(), 0U);
  for (int i = 0; i < 16; ++i) {
    const auto answer = cat.read_line(kLong);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(*answer == line + std::to_string(i)) << i;
  }
  EXPECT_EQ(cat.unsent_bytes(), 0U);
}

TEST(LineProcess, GivesLinesThatWereSaidBeforeTheEnd) {
  LineProcess process(shell("echo one; echo two; printf half; exit 7"));
  ASSERT_TRUE(process.wait_for_end(kLong));
  EXPECT_EQ(process.end_reason(), "ended with status 7");
  EXPECT_EQ(process.end_status(), 7);
  EXPECT_EQ(process.take_line(), "one");
  EXPECT_EQ(process.read_line(kLong), "two");
  EXPECT_EQ(process.read_line(kLong), std::nullopt);  // half a line is no line
}

TEST(LineProcess, SaysWhichSignalEndedIt) {
  LineProcess process(shell("kill -9 $$"));
  EXPECT_EQ(process.read_line(kLong), std::nullopt);
  EXPECT_EQ(process.end_reason(), "ended by signal 9 (Killed)");
  EXPECT_EQ(process.end_status(), 128 + 9);
}

TEST(LineProcess, KeepsTheEndOfItsErrors) {
  LineProcess process(shell("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; echo done"));
  EXPECT_EQ(process.read_line(kLong), "done");
  ASSERT_TRUE(process.wait_for_end(kLong));
  EXPECT_EQ(process.error_text().size(), 8192U);
  EXPECT_TRUE(process.error_text().ends_with("line 2999\n"));
}

TEST(LineProcess, WritingToADeadProcessIsNoSignalAndNoError) {
  LineProcess process(shell("exit 0"));
  ASSERT_TRUE(process.wait_for_end(kLong));
  process.send("nobody hears this");
  LineProcess deaf(shell("exec <&-; echo deaf; sleep 100"));
  EXPECT_EQ(deaf.read_line(kLong), "deaf");
  deaf.send("nobody reads this");
  deaf.send("nor this");
  EXPECT_FALSE(deaf.has_ended());
  EXPECT_EQ(deaf.unsent_bytes(), 0U);
}

TEST(LineProcess, KillsTheWholeGroup) {
  LineProcess process(shell("sleep 1000 & echo $!; wait"));
  const auto line = process.read_line(kLong);
  ASSERT_TRUE(line);
  const pid_t grandchild = static_cast<pid_t>(std::stol(*line));
  EXPECT_TRUE(is_alive(grandchild));
  process.kill();
  EXPECT_EQ(process.end_reason(), "ended by signal 9 (Killed)");
  EXPECT_TRUE(ends_soon(grandchild));
}

TEST(LineProcess, NoticesADeathThoughAGrandchildHoldsThePipes) {
  LineProcess process(shell("sleep 1000 & echo $!; exit 3"));
  const auto line = process.read_line(kLong);
  ASSERT_TRUE(line);
  EXPECT_TRUE(process.wait_for_end(kLong));
  EXPECT_EQ(process.end_status(), 3);
  EXPECT_TRUE(ends_soon(static_cast<pid_t>(std::stol(*line))));
}

TEST(LineProcess, AFrozenProcessCanBeKilled) {
  LineProcess process(shell("kill -STOP $$; echo thawed"));
  EXPECT_EQ(process.read_line(50ms), std::nullopt);
  process.kill();
  EXPECT_EQ(process.end_status(), 128 + 9);
}

TEST(LineProcess, OneThatClosesItsOutputIsEnded) {
  LineProcess process(shell("exec >&-; sleep 1000"));
  EXPECT_EQ(process.read_line(kLong), std::nullopt);
  EXPECT_EQ(process.end_reason(), "closed its output and ran on");
  EXPECT_FALSE(is_alive(process.id()));
}

TEST(LineProcess, AnEndlessLineEndsIt) {
  LineProcessOptions options = shell("tr '\\0' x </dev/zero");
  options.most_line_bytes = 1'000'000;
  LineProcess process(options);
  EXPECT_EQ(process.read_line(kLong), std::nullopt);
  EXPECT_EQ(process.end_reason(), "said a line of more than 1000000 bytes");
}

TEST(LineProcess, SeveralAreWaitedForTogether) {
  LineProcess quiet({.words = {"cat"}});
  LineProcess other({.words = {"cat"}});
  const std::vector<LineProcess*> both{&quiet, &other};
  wait_for_any(both, 1ms);
  EXPECT_EQ(quiet.take_line(), std::nullopt);
  other.send("here");
  wait_for_any(both, kLong);
  EXPECT_EQ(quiet.take_line(), std::nullopt);
  EXPECT_EQ(other.take_line(), "here");
  quiet.close_input();
  while (!quiet.has_ended()) wait_for_any(both, kLong);
  EXPECT_FALSE(other.has_ended());
}

TEST(LineProcess, HasTheEnvironmentThatItWasGiven) {
  LineProcessOptions options = shell("echo $GABRA_TEST_VALUE; echo $HOME");
  options.environment = {{"GABRA_TEST_VALUE", "of the test"}, {"HOME", "/nowhere"}};
  LineProcess process(options);
  EXPECT_EQ(process.read_line(kLong), "of the test");
  EXPECT_EQ(process.read_line(kLong), "/nowhere");
}

TEST(LineProcess, SaysWhyAProgramCannotBeStarted) {
  try {
    LineProcess process({.words = {"/nonexistent/program"}});
    FAIL() << "it was started";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "\"/nonexistent/program\" cannot be started: No such file or directory");
  }
}

TEST(LineProcess, IsEndedWithItsParent) {
  // A process between this one and the child is killed: the child must not stay.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t between = ::fork();
  if (between == 0) {
    LineProcess process(shell("sleep 1000"));
    const pid_t id = process.id();
    [[maybe_unused]] const auto written = ::write(ends[1], &id, sizeof id);
    ::pause();
    ::_exit(0);
  }
  pid_t child = 0;
  ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<::ssize_t>(sizeof child));
  EXPECT_TRUE(is_alive(child));
  ::kill(between, SIGKILL);
  ::waitpid(between, nullptr, 0);
  EXPECT_TRUE(ends_soon(child));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace gabra::pool
