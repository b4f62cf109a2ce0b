// SPDX-License-Identifier: MIT
// Plans measured on the ranks of a job, fewer than there are ranks included. mpirun -np 3 measure_test.
#include "gabra/exec/measure.hpp"
#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/communicator.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/plan/compiler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>

namespace gabra::exec {
namespace {

class MeasureTest {
 public:
  explicit MeasureTest(const MpiWorld& world) : world_(world), measurer_(world, {}) {
    problem_.network = std::make_shared<Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32"));
    problem_.cluster = std::make_shared<Cluster>(make_preset_cluster("workstation-cpu:gpus=3"));
    problem_.training.global_batch = 6;
  }

  int run() {
    for (const char* stages : {"0-12@0", "0-12@2", "0-5@1 6-12@0", "0-12@0,1,2", "0-3@0,1 4-7@2 8-12@1"})
      check_plan(stages);
    check_giving_up();
    check_limit();
    check_infeasible();
    check_bad_input();
    for (const std::string& text : world_.gather(faults_)) std::cout << text;
    const auto faults = static_cast<int>(world_.sum(faults_.empty() ? 0.0 : 1.0));
    if (world_.rank() == 0) fmt::print("{} plans measured; {} ranks with faults\n", plans_, faults);
    return faults == 0 ? 0 : 1;
  }

 private:
  using Result = std::variant<std::optional<Measurement>, Infeasible>;

  void expect(bool holds, const std::string& what) {
    if (!holds) faults_ += fmt::format("rank {}: {}\n", world_.rank(), what);
  }

  [[nodiscard]] Plan plan(const char* stages, std::int64_t micro_batches = 3) const {
    Plan result;
    result.micro_batches = micro_batches;
    result.stages = parse_stages(stages, *problem_.network, *problem_.cluster);
    return result;
  }

  /// The measurement, at rank 0; elsewhere there must be none.
  std::optional<Measurement> measure(const Plan& plan, const MeasureOptions& options) {
    Result result = measurer_.measure(problem_, plan, options);
    ++plans_;
    auto* measured = std::get_if<std::optional<Measurement>>(&result);
    expect(measured != nullptr, "a feasible plan was not measured");
    if (measured == nullptr) return std::nullopt;
    expect(measured->has_value() == (world_.rank() == 0), "the measurement is at rank 0, and only there");
    return std::move(*measured);
  }

  void check_plan(const char* stages) {
    const auto found = measure(plan(stages), {.warm_up = 2, .steps = 3});
    if (!found) return;
    const std::string where = fmt::format("{}: ", stages);
    expect(found->end == Measurement::End::Complete && found->steps.size() == 3, where + "three steps");
    expect(found->median > Seconds(0.0) && found->report.step == found->median, where + "the median is the step");
    expect(found->devices.size() == found->program.devices.size(), where + "every device of the plan");
    check_timeline(where, *found);
    for (std::size_t i = 0; i < found->devices.size(); ++i) check_device(where, *found, found->devices[i]);
  }

  void check_device(const std::string& where, const Measurement& found, const DeviceMeasurement& device) {
    expect(device.rank == static_cast<int>(device.device.index()), where + "device d of the cluster is rank d");
    expect(device.own_steps.size() == found.steps.size(), where + "own times of every step");
    const double predicted = static_cast<double>(found.program.peak_memory[device.device.index()].value());
    const double ratio = static_cast<double>(device.peak_memory.value()) / predicted;
    expect(ratio > 0.9 && ratio < 1.1, where + fmt::format("peak memory {:.3f} of the predicted", ratio));
  }

  void check_timeline(const std::string& where, const Measurement& found) {
    const Program& program = found.program;
    expect(found.timeline.spans.size() == program.instructions.size(), where + "a span for every instruction");
    constexpr Seconds kClock(1e-4);  // how well the ranks' clocks agree
    check_extents(where, found, kClock);
    for (std::size_t i = 0; i < program.instructions.size(); ++i) {
      const Timeline::Span& span = found.timeline.spans[i];
      expect(span.end >= span.begin && span.end <= found.timeline.end, where + "spans within the step");
      if (program.instructions[i].opcode == Opcode::Send) continue;
      for (const InstructionId before : program.predecessors.of(InstructionId(i)))
        if (program.instructions[before.index()].opcode != Opcode::Receive)
          expect(found.timeline.spans[before.index()].end <= span.end + kClock,
                 where + describe(program.instructions[i]) + " ended before what it waits for");
    }
    double busy = 0.0;
    for (const DeviceReport& device : found.report.devices) busy += device.compute.value();
    expect(busy > 0.0, where + "devices compute");
  }

  /// What a rank did lies within its own time of the step that the timeline shows. (Not within the step's time: ranks
  /// begin at the same moment only where each has a core.)
  void check_extents(const std::string& where, const Measurement& found, Seconds clock) {
    const auto distance = [&](Seconds step) { return std::abs((step - found.median).value()); };
    const auto shown = std::min_element(found.steps.begin(), found.steps.end(),
                                        [&](Seconds a, Seconds b) { return distance(a) < distance(b); });
    const auto step = static_cast<std::size_t>(shown - found.steps.begin());
    for (const DeviceMeasurement& device : found.devices) {
      Seconds first(std::numeric_limits<double>::infinity()), last(0.0);
      for (std::size_t i = 0; i < found.program.instructions.size(); ++i) {
        if (found.program.instructions[i].device != device.device) continue;
        first = std::min(first, found.timeline.spans[i].begin);
        last = std::max(last, found.timeline.spans[i].end);
      }
      expect(last - first <= device.own_steps[step] + clock, where + "a rank's own step contains its timeline");
    }
  }

  void check_giving_up() {
    const auto found = measure(plan("0-12@0"), {.warm_up = 1, .steps = 50, .give_up_above = Seconds(1e-9)});
    if (!found) return;
    expect(found->end == Measurement::End::GaveUp && found->steps.size() == 2, "two steps of a clearly worse plan");
    expect(found->timeline.spans.size() == found->program.instructions.size(), "its timeline is there");
  }

  void check_limit() {
    // Every step takes longer, but no transfer waits so long: a single device.
    const auto found = measure(plan("0-12@1"), {.warm_up = 2, .steps = 50, .step_limit = Seconds(1e-6)});
    if (!found) return;
    expect(found->end == Measurement::End::OverLimit && found->steps.size() == 1, "one step over the limit");
  }

  void check_infeasible() {
    Problem large = problem_;
    large.network = std::make_shared<Network>(make_zoo_network("3d-resattnet-34:width=64,input=1x128x128x128"));
    large.training.global_batch = 256;
    Plan whole = plan("0-12@0", 1);
    whole.stages.front().end_unit = static_cast<std::int32_t>(large.network->unit_count());
    const Result result = measurer_.measure(large, whole, {});
    const auto* reason = std::get_if<Infeasible>(&result);
    expect(reason != nullptr && reason->reason == Infeasible::Reason::Memory, "too large for the memory, on all ranks");
  }

  void check_bad_input() {
    Problem more = problem_;
    more.cluster = std::make_shared<Cluster>(make_preset_cluster("workstation-cpu:gpus=4"));
    Plan four = plan("0-12@0", 6);
    four.stages.front().devices = {DeviceId(0), DeviceId(1), DeviceId(2), DeviceId(3)};
    expect_fault(more, four, "3 ranks for a plan of 4 devices");
  }

  void expect_fault(const Problem& problem, const Plan& plan, const std::string& text) {
    try {
      (void)measurer_.measure(problem, plan, {});
      expect(false, "no fault: " + text);
    } catch (const InputError& error) {
      expect(std::string(error.what()).find(text) != std::string::npos, error.what());
    }
  }

  const MpiWorld& world_;
  PlanMeasurer measurer_;
  Problem problem_;
  std::string faults_;
  int plans_ = 0;
};

}  // namespace
}  // namespace gabra::exec

int main(int argc, char** argv) {
  const gabra::exec::MpiWorld world(argc, argv);
  try {
    if (world.size() != 3) throw gabra::Error("mpirun -np 3 measure_test");
    return gabra::exec::MeasureTest(world).run();
  } catch (const std::exception& error) {
    std::cerr << "rank " << world.rank() << ": " << error.what() << std::endl;
    gabra::exec::MpiWorld::abort(1);
  }
}
