// SPDX-License-Identifier: MIT
// Times training steps of one plan on random data:
//   mpirun -np 2 run_step_bench NETWORK BATCH MICRO_BATCHES "0-12@0,1" [gpipe|1f1b|sequential] [STEPS] [TRACE.json]
// Prints a JSON line: median and least seconds, what compute and waiting took of the last step, memory of every rank.
#include "gabra/cluster/presets.hpp"
#include "gabra/exec/cpu_device.hpp"
#include "gabra/exec/measured_timeline.hpp"
#include "gabra/exec/mpi_communicator.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "gabra/network/zoo.hpp"
#include "gabra/plan/render.hpp"
#include "support/plan_runner.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace gabra::exec {
namespace {

struct Run {
  Problem problem;
  Plan plan;
  int steps = 10;
  std::string trace;
};

Run parse(int argc, char** argv) {
  if (argc < 5) throw Error("run_step_bench NETWORK BATCH MICRO_BATCHES STAGES [SCHEDULE] [STEPS] [TRACE.json]");
  Run run;
  run.problem.network = std::make_shared<const Network>(load_network(argv[1]));
  run.problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("workstation-cpu:gpus=4"));
  run.problem.training.global_batch = std::stol(argv[2]);
  run.plan.micro_batches = std::stol(argv[3]);
  run.plan.stages = parse_stages(argv[4], *run.problem.network, *run.problem.cluster);
  const std::string schedule = argc > 5 ? argv[5] : "1f1b";
  for (const Schedule one : {Schedule::Sequential, Schedule::GPipe, Schedule::OneForwardOneBackward})
    if (schedule == to_text(one)) run.plan.schedule = one;
  if (argc > 6) run.steps = std::stoi(argv[6]);
  if (argc > 7) run.trace = argv[7];
  return run;
}

/// Seconds of the compute stream's instructions on one device.
double busy_seconds(const Program& program, const Timeline& timeline, DeviceId device) {
  double busy = 0.0;
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    if (program.instructions[i].device == device &&
        program.streams[program.instructions[i].stream.index()].kind == StreamKind::Compute)
      busy += (timeline.spans[i].end - timeline.spans[i].begin).value();
  return busy;
}

/// "Forward 0.0101, Backward 0.0203": seconds of each kind of instruction on one device.
std::string seconds_by_opcode(const Program& program, const Timeline& timeline, DeviceId device) {
  std::map<Opcode, double> seconds;
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    if (program.instructions[i].device == device)
      seconds[program.instructions[i].opcode] += (timeline.spans[i].end - timeline.spans[i].begin).value();
  std::vector<std::string> parts;
  for (const auto& [opcode, sum] : seconds) parts.push_back(fmt::format("\"{}\": {:.5f}", to_text(opcode), sum));
  return fmt::format("{}", fmt::join(parts, ", "));
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int measure(const Run& run, const MpiWorld& world) {
  const Program program = compile_or_die(run.problem, run.plan);
  const auto communicator = make_mpi_communicator(world);
  communicator->prepare(program);
  const auto device = make_cpu_device(program, *communicator);
  const Bytes before = TensorMemory::in_use();
  RandomSource source(run.problem, run.plan.micro_batches, 1);
  const Bytes samples = TensorMemory::in_use() - before;  // not the plan's
  struct Same final : BatchSource {
    explicit Same(BatchSource& source) : inner(source) {}
    std::vector<at::Tensor> inputs(std::int64_t, std::int64_t m) override {
      std::vector<at::Tensor> copies = inner.inputs(0, m);
      for (at::Tensor& input : copies) input = input.clone();
      return copies;
    }
    at::Tensor target(std::int64_t, std::int64_t m) override { return inner.target(0, m); }
    BatchSource& inner;
  } same(source);
  Interpreter interpreter(program, {.network = run.problem.network,
                                    .training = run.problem.training,
                                    .device = *device,
                                    .communicator = *communicator,
                                    .batches = same,
                                    .model = {},
                                    .class_weights = {}});
  constexpr int kWarmUp = 2;
  std::vector<double> seconds;
  double cpu = 0.0;
  StepResult result;
  double loss = 0.0;
  for (int step = 1; step <= kWarmUp + run.steps + 1; ++step) {
    if (step == kWarmUp + run.steps + 1) device->set_recording(true);
    if (step == kWarmUp + 1) {
      device->reset_peak();
      cpu = cpu_seconds();
    }
    world.barrier();
    const double begin = monotonic_seconds();
    result = interpreter.run_step({.step = step});
    const double own = monotonic_seconds() - begin;
    if (step == kWarmUp + run.steps) cpu = (cpu_seconds() - cpu) / run.steps;
    loss = world.sum(result.loss);
    const double all = world.max(own);
    if (step > kWarmUp && step <= kWarmUp + run.steps) seconds.push_back(all);
  }
  const Timeline timeline = gather_timeline(program, result.spans, world);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto peaks = world.gather(
      fmt::format("{{\"rss_mb\": {}, \"tensors_mb\": {:.1f}, \"planned_mb\": {:.1f}, \"cpu_s\": {:.4f}}}",
                  usage.ru_maxrss / 1024, static_cast<double>((device->peak_memory() - samples).value()) / 1e6,
                  static_cast<double>(
                      program.peak_memory[program.devices[static_cast<std::size_t>(world.rank())].index()].value()) /
                      1e6,
                  cpu));
  if (world.rank() != 0) return 0;
  std::sort(seconds.begin(), seconds.end());
  std::vector<double> busy;
  for (const DeviceId one : program.devices) busy.push_back(busy_seconds(program, timeline, one));
  fmt::print(
      "{{\"median_s\": {:.5f}, \"min_s\": {:.5f}, \"loss\": {:.6f}, \"last_step_s\": {:.5f}, \"busy_s\": "
      "[{:.4f}], \"rank_0_s\": {{{}}}, \"ranks\": [{}]}}\n",
      seconds[seconds.size() / 2], seconds.front(), loss, timeline.end.value(), fmt::join(busy, ", "),
      seconds_by_opcode(program, timeline, program.devices.front()), fmt::join(peaks, ", "));
  if (!run.trace.empty()) std::ofstream(run.trace) << to_perfetto_trace({run.problem, program, timeline});
  return 0;
}

}  // namespace
}  // namespace gabra::exec

int main(int argc, char** argv) {
  const gabra::exec::MpiWorld world(argc, argv);
  gabra::exec::TensorMemory::install();
  at::set_num_threads(1);
  try {
    return measure(gabra::exec::parse(argc, argv), world);
  } catch (const std::exception& error) {
    std::cerr << "rank " << world.rank() << ": " << error.what() << std::endl;
    gabra::exec::MpiWorld::abort(1);
  }
}
