// SPDX-License-Identifier: MIT
// What the ranks of a training do beside its steps, while a monitor with a short time limit looks on: work of rank 0
// and evaluations that take longer than the limit are none that hang. mpirun -np 2 train_parts_test.
#include "evaluation.hpp"
#include "work_at_root.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace gabra::exec {
namespace {

constexpr double kLimitSeconds = 1.0;

/// Work, as long as it lasts.
void work_for(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

class TrainPartsTest {
 public:
  TrainPartsTest(const MpiWorld& world, Monitor& monitor) : world_(world), monitor_(monitor) {}

  int run() {
    check_slow_work();
    check_failing_work();
    check_slow_evaluation();
    check_evaluation_of_few();
    for (const std::string& text : world_.gather(faults_)) std::cout << text;
    return world_.sum(faults_.empty() ? 0.0 : 1.0) == 0.0 ? 0 : 1;
  }

 private:
  void expect(bool holds, const std::string& what) {
    if (!holds) faults_ += fmt::format("rank {}: {}\n", world_.rank(), what);
  }

  /// Twice the limit; nobody is ended, and all come out of it after the work.
  void check_slow_work() {
    int done = 0;
    work_at_root(world_, monitor_, "slow work", [&] {
      work_for(std::chrono::milliseconds(2000));
      ++done;
    });
    expect(done == (world_.rank() == 0 ? 1 : 0), "work is rank 0's alone, once");
  }

  void check_failing_work() {
    bool is_caught = false;
    try {
      work_at_root(world_, monitor_, "bad work", [] { throw std::runtime_error("full"); });
    } catch (const std::runtime_error& error) {
      is_caught = std::string(error.what()) == "full";
    }
    expect(is_caught == (world_.rank() == 0), "rank 0 throws what the work throws, and nobody else");
  }

  static std::vector<data::Sample> samples(std::size_t count) {
    std::vector<data::Sample> result(count);
    for (std::size_t i = 0; i < count; ++i) {
      result[i].label = static_cast<std::int64_t>(i % 2);
      result[i].path = std::to_string(i);
    }
    return result;
  }

  /// Rank 1 takes 300 ms for each scan and rank 0 no time: six scans of rank 1 are longer than the limit.
  void check_slow_evaluation() {
    EvaluationTask task;
    task.name = "a slow evaluation";
    task.predict = [&](const std::string& path) {
      if (world_.rank() == 1) work_for(std::chrono::milliseconds(300));
      const double first = 0.1 + 0.05 * std::stod(path);
      return std::vector<double>{first, 1.0 - first};
    };
    const auto found = evaluate(samples(12), task, world_, monitor_);
    // Scan i is of class i mod 2 and has 0.1 + 0.05 i for class 0.
    double loss = 0.0;
    for (int i = 0; i < 12; ++i) loss -= std::log(i % 2 == 0 ? 0.1 + 0.05 * i : 0.9 - 0.05 * i) / 12.0;
    expect(found.has_value() == (world_.rank() == 0), "rank 0 has the result");
    if (found) expect(std::abs(found->loss - loss) < 1e-12, fmt::format("loss {} in place of {}", found->loss, loss));
  }

  void check_evaluation_of_few() {
    EvaluationTask task;
    task.name = "an evaluation of one scan";
    task.predict = [](const std::string&) { return std::vector<double>{0.25, 0.75}; };
    const auto one = evaluate(samples(1), task, world_, monitor_);
    if (one) expect(std::abs(one->loss - std::log(4.0)) < 1e-12, "the loss of one scan");
    expect(!evaluate({}, task, world_, monitor_), "nothing of no scans");
  }

  const MpiWorld& world_;
  Monitor& monitor_;
  std::string faults_;
};

}  // namespace
}  // namespace gabra::exec

int main(int argc, char** argv) {
  gabra::exec::block_stop_signals();
  gabra::exec::Monitor monitor("a rank", gabra::exec::kLimitSeconds);
  const gabra::exec::MpiWorld world(argc, argv);
  try {
    if (world.size() != 2) throw gabra::Error("mpirun -np 2 train_parts_test");
    return gabra::exec::TrainPartsTest(world, monitor).run();
  } catch (const std::exception& error) {
    std::cerr << "rank " << world.rank() << ": " << error.what() << std::endl;
    gabra::exec::MpiWorld::abort(1);
  }
}
