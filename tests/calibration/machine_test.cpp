// SPDX-License-Identifier: MIT
#include "gabra/calibration/machine.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/plan/compiler.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace gabra {
namespace {

using test::stage;

std::shared_ptr<const Network> small_network(bool is_by_layer) {
  std::vector<LayerSpec> specs{{"input", Input{{16}}, {}},
                               {"a", Linear{64, true}, {"input"}},
                               {"a.relu", Relu{}, {"a"}},
                               {"b", Linear{8, true}, {"a.relu"}}};
  std::vector<std::string> ends{"a.relu", "b"};
  if (is_by_layer) ends = {"a", "a.relu", "b"};
  return std::make_shared<const Network>(Network::build("small", specs, "test", ends));
}

/// A step in which every instruction takes what `seconds` says, one after another.
Timeline play(const Program& program, const std::function<double(const Instruction&)>& seconds) {
  Timeline timeline;
  std::vector<double> free(program.streams.size(), 0.0);
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& one = program.instructions[i];
    double begin = free[one.stream.index()];
    for (const InstructionId before : program.predecessors.of(InstructionId(i)))
      begin = std::max(begin, timeline.spans[before.index()].end.value());
    if (program.streams[one.stream.index()].kind == StreamKind::Compute) begin += 1e-6;
    const double end = begin + seconds(one);
    timeline.spans.push_back({Seconds(begin), Seconds(end)});
    free[one.stream.index()] = end;
    timeline.end = std::max(timeline.end, Seconds(end));
  }
  return timeline;
}

struct Times {
  double forward, backward;
};

/// Made-up ranks: compute takes 1.25 times as long together, a whole pass 2 % longer than its units.
class MadeUpMachine {
 public:
  MadeUpMachine() {
    samples.name = "made up";
    samples.device_kind = "core";
    samples.devices = {"CPU0", "CPU1"};
    samples.nodes = {0, 0};
    samples.memory = Bytes(std::int64_t{1} << 33);
    samples.base_memory = Bytes(1 << 20);
    samples.network = small_network(false);
    samples.by_layer = small_network(true);
    samples.source = "a test";
    for (const std::int64_t size : {1, 4}) {
      add(CalibrationRole::UnitsTogether, size, 6, {stage(0, 1, {0, 1}), stage(1, 2, {0, 1})}, 1.25);
      add(CalibrationRole::UnitsAlone, size, 2, {stage(0, 1, {0}), stage(1, 2, {0})}, 1.0);
      add(CalibrationRole::WholeTogether, size, 4, {stage(0, 2, {0, 1})}, 1.25 * 1.02);
      add(CalibrationRole::WholeAlone, size, 2, {stage(0, 2, {0})}, 1.02);
    }
    for (const std::int64_t size : {1, 4}) {
      add(CalibrationRole::LayersAlone, size, 2, {stage(0, 1, {0}), stage(1, 2, {0}), stage(2, 3, {0})}, 1.0);
      add(CalibrationRole::LayersTogether, size, 6, {stage(0, 1, {0, 1}), stage(1, 2, {0, 1}), stage(2, 3, {0, 1})},
          1.5);
    }
    for (const std::int64_t size : {1, 4})
      samples.kept[size] = {Bytes(80 * size), Bytes(0), Bytes(260 * size), Bytes(0)};
    for (const std::int64_t bytes : {1000, 1000000}) {
      const Seconds seconds(2e-6 + static_cast<double>(bytes) / 4e9);
      samples.transfers[{0, 1}].push_back({Bytes(bytes), seconds});
      samples.transfers[{1, 0}].push_back({Bytes(bytes), seconds});
      samples.all_reduces.push_back({.devices = 2, .bytes = Bytes(bytes), .seconds = Seconds(5e-6) + seconds * 2.0});
    }
  }

  /// The share of unit 0 that its first layer has.
  static double first_layer(std::int64_t size) { return size == 1 ? 0.7 : 0.6; }
  /// Of one unit and pass, alone.
  static Times unit(std::int32_t index, std::int64_t size) {
    const double samples = static_cast<double>(size);
    return index == 0 ? Times{1e-3 + 1e-3 * samples, 3e-3 * samples} : Times{0.5e-3 * samples, 1e-3 * samples};
  }

  MachineSamples samples;

 private:
  void add(CalibrationRole role, std::int64_t size, std::int64_t micro_batches, std::vector<Stage> stages,
           double factor) {
    CalibrationRun run;
    run.role = role;
    run.micro_batch = size;
    Problem problem = test::toy_problem(test::equal_layers(1), {.devices = 2}, micro_batches * size);
    const bool is_by_layer = role == CalibrationRole::LayersAlone || role == CalibrationRole::LayersTogether;
    problem.network = is_by_layer ? samples.by_layer : samples.network;
    Plan plan;
    plan.micro_batches = micro_batches;
    plan.stages = std::move(stages);
    Compiler compiler(problem);
    run.program = std::get<Program>(compiler.compile(plan));
    const auto seconds = [&](const Instruction& one) { return factor * duration(one, run, problem); };
    for (int step = 0; step < 3; ++step) {
      run.timelines.push_back(play(run.program, seconds));
      run.outside.emplace_back(40e-6);
    }
    samples.runs.push_back(std::move(run));
  }

  static double duration(const Instruction& one, const CalibrationRun& run, const Problem& problem) {
    if (one.opcode == Opcode::Loss) return 10e-6;
    if (one.opcode == Opcode::Update) return 1e-9 * static_cast<double>(problem.network->parameters());
    if (one.opcode != Opcode::Forward && one.opcode != Opcode::Backward) return 0.0;
    const bool is_forward = one.opcode == Opcode::Forward;
    const UnitRange units = run.program.stages[one.stage.index()].units;
    double sum = 0.0;
    if (run.role == CalibrationRole::LayersAlone || run.role == CalibrationRole::LayersTogether) {
      const double own = first_layer(run.micro_batch);
      const double share = units.first == 0 ? own : units.first == 1 ? 1.0 - own : 1.0;
      const Times times = unit(units.first == 2 ? 1 : 0, run.micro_batch);
      return share * (is_forward ? times.forward : times.backward);
    }
    for (std::int32_t u = units.first; u < units.end; ++u) {
      const Times times = unit(u, run.micro_batch);
      sum += is_forward ? times.forward : times.backward;
    }
    // A cut backward has as many pieces as buckets.
    const auto pieces =
        static_cast<double>(std::max<std::size_t>(1, run.program.stages[one.stage.index()].buckets.size()));
    return one.segment >= 0 ? sum / pieces : sum;
  }
};

TEST(MachineFit, FindsWhatTheTimesWereMadeWith) {
  const MadeUpMachine machine;
  const MachineFit fit = fit_machine(machine.samples);
  const DeviceKind& kind = fit.cluster.kind(DeviceKindId(0));
  EXPECT_NEAR(kind.neighbour_slowdown, 1.25, 1e-9);
  EXPECT_NEAR(kind.instruction_overhead.value(), 1e-6, 1e-9);
  EXPECT_NEAR(kind.step_overhead.value(), 40e-6, 1e-9);
  EXPECT_TRUE(kind.is_calibrated);
  EXPECT_NEAR(fit.cluster.route(DeviceId(0), DeviceId(1)).bandwidth.value(), 4e9, 1e3);
  // Layers: 0.6 of the unit, 2 % more for a whole pass.
  const auto sample = fit.profile.at("core", "a", 4);
  ASSERT_TRUE(sample.has_value());
  EXPECT_NEAR(sample->forward.value(), 0.6 * 1.02 * 5e-3, 1e-9);
  EXPECT_NEAR(sample->backward.value(), 0.6 * 1.02 * 12e-3, 1e-9);
  EXPECT_NEAR(fit.profile.at("core", "a", 1)->forward.value(), 0.7 * 1.02 * 2e-3, 1e-9);
  EXPECT_NE(to_text(fit).find("at micro-batches of 4 single layers take 1.50 to 1.50 times as long"),
            std::string::npos);
  EXPECT_NEAR(fit.profile.at("core", "b", 1)->forward.value(), 1.02 * 0.5e-3, 1e-9);
  // The loss in whole passes.
  EXPECT_NEAR(fit.profile.at("core", std::string(kLossInProfile), 1)->forward.value(), 1.02 * 10e-6, 1e-12);
  // What is kept as measured; by rule the samples (16 values) and the output of `a`'s ReLU (64), 320 bytes.
  EXPECT_EQ(fit.profile.at("core", "a.relu", 4)->bytes, Bytes(1040));
  const auto kept = std::find_if(fit.models.begin(), fit.models.end(), [](const ModelQuality& model) {
    return model.model == "kept from forward to backward";
  });
  ASSERT_NE(kept, fit.models.end());
  EXPECT_NEAR(kept->quality.median_error, 1.0 - 320.0 / (80.0 + 260.0), 1e-9);
}

TEST(MachineFit, ItsFilesCanBeRead) {
  const MadeUpMachine machine;
  const MachineFit fit = fit_machine(machine.samples);
  const Cluster again = parse_cluster(to_json_text(fit.cluster), "machine.json");
  EXPECT_EQ(again.fingerprint(), fit.cluster.fingerprint());
  const Profile profile = parse_profile(to_json_text(fit.profile), "profile.json");
  EXPECT_EQ(profile.fingerprint(), fit.profile.fingerprint());
}

TEST(MachineFit, PredictsWhatItWasFittedTo) {
  const MadeUpMachine machine;
  MachineFit fit = fit_machine(machine.samples);
  Problem problem{machine.samples.network,
                  std::make_shared<const Cluster>(std::move(fit.cluster)),
                  std::make_shared<const Profile>(fit.profile),
                  {}};
  problem.training.global_batch = 4;
  CostModel costs(problem);
  const SpanSeconds whole = costs.span(0, 2, DeviceKindId(0), 4);
  EXPECT_NEAR(whole.forward.value(), 1.02 * 7e-3, 1e-9);
  EXPECT_NEAR(whole.backward.value(), 1.02 * 16e-3, 1e-9);
  // An update beside the neighbour's takes 1.25 x 1.02 ns a parameter.
  const double update = costs.update(0, 2, DeviceKindId(0)).value() - 1e-6;
  EXPECT_NEAR(update * 1.25, 1.25 * 1.02e-9 * static_cast<double>(problem.network->parameters()), 1e-12);
}

TEST(MachineFit, WarnsOfPoorFits) {
  MadeUpMachine machine;
  machine.samples.transfers[{0, 1}] = {{Bytes(1000), Seconds(1e-3)}, {Bytes(2000), Seconds(1e-6)}};
  const MachineFit fit = fit_machine(machine.samples);
  ASSERT_FALSE(fit.warnings.empty());
  EXPECT_NE(to_text(fit).find("Warning: the fit of CPU0->CPU1 is poor"), std::string::npos) << to_text(fit);
}

}  // namespace
}  // namespace gabra
