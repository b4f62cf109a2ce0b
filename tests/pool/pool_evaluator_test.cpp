// SPDX-License-Identifier: MIT
#include "gabra/pool/pool_evaluator.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/pool/messages.hpp"
#include "gabra/sim/sim_evaluator.hpp"
#include "support/random_problem.hpp"
#include "worker_program.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

namespace gabra::pool {
namespace {

constexpr std::size_t kPlans = 60;

class Pool : public ::testing::Test {
 protected:
  Pool() {
    Rng rng(7);
    problem_ = test::random_problem(rng);
    for (std::size_t i = 0; i < kPlans; ++i) plans_.push_back(test::random_plan(problem_, rng));
    sim::SimEvaluator simulator(problem_);
    for (const Plan& plan : plans_) expected_.push_back(to_line(0, simulator.evaluate(plan)));
  }

  PoolOptions options(std::int64_t processes, const std::vector<std::string>& more = {}) {
    PoolOptions result;
    result.command.words = {WORKER_PROGRAM, "b"};
    result.command.words.insert(result.command.words.end(), more.begin(), more.end());
    result.build = "b";
    result.processes = processes;
    result.log = [this](const std::string& line) { log_ += line + "\n"; };
    return result;
  }

  /// Everything as in this process, but for the plans in `aside`.
  void expect_equal(const std::vector<Evaluation>& evaluations, const std::vector<std::size_t>& aside = {}) {
    ASSERT_EQ(evaluations.size(), plans_.size());
    for (std::size_t i = 0; i < evaluations.size(); ++i) {
      if (std::find(aside.begin(), aside.end(), i) == aside.end()) {
        EXPECT_EQ(to_line(0, evaluations[i]), expected_[i]) << "plan " << i << "\n" << log_;
        continue;
      }
      const auto* infeasible = std::get_if<Infeasible>(&evaluations[i]);
      ASSERT_NE(infeasible, nullptr) << i;
      EXPECT_EQ(infeasible->reason, Infeasible::Reason::Failed) << i;
    }
  }

  Problem problem_;
  std::vector<Plan> plans_;
  std::vector<std::string> expected_;
  std::string log_;
};

TEST_F(Pool, AnswersInOrderForAnyNumberOfWorkers) {
  for (const std::int64_t processes : {1, 2, 3}) {
    PoolEvaluator pool(problem_, options(processes));
    expect_equal(pool.evaluate(plans_));
    expect_equal(pool.evaluate(plans_));
    EXPECT_TRUE(pool.evaluate({}).empty());
    EXPECT_EQ(pool.evaluate(std::span(plans_).first(1)).size(), 1U);
    EXPECT_EQ(pool.replaced(), 0);
  }
  EXPECT_EQ(log_, "");
}

TEST_F(Pool, NothingIsLostWhenWorkersAreKilled) {
  PoolEvaluator pool(problem_, options(3, {"0.03"}));
  for (int i = 0; i < 5; ++i) expect_equal(pool.evaluate(plans_));
  EXPECT_GT(pool.replaced(), 0);
  EXPECT_TRUE(pool.set_aside().empty());
  EXPECT_NE(log_.find("ended by signal 9 (Killed)"), std::string::npos) << log_;
}

/// Whether /proc says so within 10 s.
bool is_soon_in_state(pid_t process, char state) {
  for (int i = 0; i < 1000; ++i) {
    std::ifstream stream("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(stream, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == state) return true;
    ::usleep(10'000);
  }
  return false;
}

TEST_F(Pool, NothingIsLostWhenWorkersAreFrozenOrDieBetweenCalls) {
  PoolEvaluator pool(problem_, options(2));
  // A worker that one call was too short for has started by the next: one that has not would be given no plans.
  for (int call = 0; call < 3; ++call) {
    expect_equal(pool.evaluate(plans_));
    ::usleep(200'000);
  }
  const std::vector<pid_t> ids = pool.process_ids();
  ASSERT_EQ(ids.size(), 2U);
  ::kill(ids[0], SIGSTOP);
  ASSERT_TRUE(is_soon_in_state(ids[0], 'T'));  // a process that runs takes a moment to hear of it
  ::kill(ids[1], SIGKILL);
  expect_equal(pool.evaluate(plans_));
  EXPECT_EQ(pool.replaced(), 2);
  EXPECT_NE(log_.find("worker 0 was stopped"), std::string::npos) << log_;
}

TEST_F(Pool, APlanThatEndsTwoWorkersIsSetAside) {
  plans_[10].bucket = test::kCrashingBucket;
  plans_[20].bucket = test::kLeavingBucket;
  plans_[30].bucket = test::kBabblingBucket;
  PoolEvaluator pool(problem_, options(2));
  expect_equal(pool.evaluate(plans_), {10, 20, 30});
  EXPECT_EQ(pool.replaced(), 6);
  ASSERT_EQ(pool.set_aside().size(), 3U);
  for (const SetAside& aside : pool.set_aside())
    EXPECT_NE(aside.reason.find("2 workers ended at it"), std::string::npos);
  EXPECT_NE(log_.find("set aside, 2 workers ended at it, the last: ended by signal 11 (Segmentation fault): plan with "
                      "stages \"" +
                      to_text(plans_[10].stages) + "\""),
            std::string::npos)
      << log_;
  EXPECT_NE(log_.find("ended with status 5"), std::string::npos) << log_;
  EXPECT_NE(log_.find("said what is no answer: \"what?\""), std::string::npos) << log_;
}

TEST_F(Pool, OneThatIsKilledFromOutsideEachTimeIsSetAsideLater) {
  plans_[10].bucket = test::kKilledBucket;
  PoolEvaluator pool(problem_, options(2));
  expect_equal(pool.evaluate(plans_), {10});
  EXPECT_EQ(pool.replaced(), 4);
  ASSERT_EQ(pool.set_aside().size(), 1U);
  EXPECT_NE(pool.set_aside()[0].reason.find("4 workers ended at it"), std::string::npos);
}

TEST_F(Pool, AWorkerThatHangsIsReplaced) {
  plans_[10].bucket = test::kHangingBucket;
  PoolOptions with_limit = options(2);
  with_limit.plan_limit = Seconds(0.5);
  PoolEvaluator pool(problem_, with_limit);
  expect_equal(pool.evaluate(plans_), {10});
  EXPECT_NE(log_.find("gave no answer within"), std::string::npos) << log_;
}

std::string error_of(const Problem& problem, const PoolOptions& options, const std::vector<Plan>& plans) {
  try {
    PoolEvaluator pool(problem, options);
    (void)pool.evaluate(plans);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(Pool, AWorkerOfAnotherBuildIsRefused) {
  PoolOptions other = options(1);
  other.build = "a";
  EXPECT_EQ(error_of(problem_, other, plans_), "worker 0: this worker is gabra b, the search is gabra a");
  // One that does not look at the header's build.
  other.command.words = {"/bin/sh", "-c",
                         "read header; echo '{\"schema\":\"gabra/work/1\",\"ready\":\"c\",\"slots\":1}'; cat"};
  EXPECT_EQ(error_of(problem_, other, plans_), "worker 0 is gabra c, this is gabra a: all must be of one build");
}

TEST_F(Pool, AWorkerThatCannotBeStartedAgainIsTriedSeveralTimes) {
  // It starts once and ends at the first plan; its program is gone then.
  const std::string program = ::testing::TempDir() + "gabra-vanishing-" + std::to_string(::getpid());
  std::ofstream(program) << "#!/bin/sh\nread header\n"
                            "echo '{\"schema\":\"gabra/work/1\",\"ready\":\"b\",\"slots\":1}'\n"
                            "rm \"$0\"\nread plan\n";
  ASSERT_EQ(::chmod(program.c_str(), 0700), 0);
  PoolOptions vanishing = options(1);
  vanishing.command.words = {program};
  vanishing.first_pause = Seconds(0.0);
  EXPECT_EQ(error_of(problem_, vanishing, plans_), "worker 0 cannot be used, it did not start again: \"" + program +
                                                       "\" cannot be started: No such file or directory");
  std::size_t tries = 0;
  for (std::size_t at = 0; (at = log_.find("did not start again", at)) != std::string::npos; ++at) ++tries;
  EXPECT_EQ(tries, 7U) << log_;  // the eighth ends the search
}

TEST_F(Pool, APlanThatIsSetAsideIsSaidWhereNothingElseIs) {
  plans_[10].bucket = test::kCrashingBucket;
  PoolOptions quiet = options(2);
  quiet.log = nullptr;
  quiet.warn = [this](const std::string& line) { log_ += line + "\n"; };
  PoolEvaluator pool(problem_, quiet);
  expect_equal(pool.evaluate(plans_), {10});
  EXPECT_TRUE(log_.starts_with("set aside, 2 workers ended at it")) << log_;
  EXPECT_EQ(std::count(log_.begin(), log_.end(), '\n'), 1);
}

TEST_F(Pool, WorkersThatCannotWorkEndTheSearch) {
  PoolOptions broken = options(1);
  broken.command.words = {"/bin/sh", "-c", "echo no licence >&2; exit 9"};
  EXPECT_EQ(error_of(problem_, broken, plans_), "worker 0 cannot be used, it ended with status 9: no licence");
  broken.command.words = {"/nonexistent/gabra-sim"};
  EXPECT_EQ(error_of(problem_, broken, plans_),
            "\"/nonexistent/gabra-sim\" cannot be started: No such file or directory");
  broken.command.words = {"sleep", "1000"};
  broken.start_limit = Seconds(0.1);
  EXPECT_EQ(error_of(problem_, broken, plans_), "worker 0 cannot be used, it did not start within 100.0 ms");
}

}  // namespace
}  // namespace gabra::pool
