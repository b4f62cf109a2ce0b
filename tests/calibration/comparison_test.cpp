// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"

#include "gabra/plan/compiler.hpp"
#include "gabra/plan/timeline_report.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace gabra {
namespace {

using test::stage;

/// Two stages of 1 s forward and 2 s backward, two micro-batches, sequential: everything one after another.
ComparedStep made_up(double backward_factor) {
  ComparedStep step;
  step.name = "made up";
  step.problem = test::toy_problem(test::equal_layers(2), {.devices = 2}, 2);
  step.plan.micro_batches = 2;
  step.plan.schedule = Schedule::Sequential;
  step.plan.stages = {stage(0, 1, {0}), stage(1, 2, {1})};
  Compiler compiler(step.problem);
  step.program = std::get<Program>(compiler.compile(step.plan));
  const auto play = [&](double factor) {
    Timeline timeline;
    for (std::size_t i = 0; i < step.program.instructions.size(); ++i) {
      const Instruction& one = step.program.instructions[i];
      double begin = 0.0;
      for (const InstructionId before : step.program.predecessors.of(InstructionId(i)))
        begin = std::max(begin, timeline.spans[before.index()].end.value());
      if (one.opcode == Opcode::Receive) begin = std::max(begin, timeline.spans[one.partner.index()].end.value());
      const bool is_slow = one.opcode == Opcode::Backward && one.stage == StageId(1);
      timeline.spans.push_back({Seconds(begin), Seconds(begin + one.seconds.value() * (is_slow ? factor : 1.0))});
      timeline.end = std::max(timeline.end, timeline.spans.back().end);
    }
    return timeline;
  };
  step.predicted = play(1.0);
  step.predicted_report = report_of(*step.problem.cluster, step.program, step.predicted);
  const Timeline measured = play(backward_factor);
  step.measured.path = "made-up.json";
  step.measured.rounds = {{measured.end, measured.end}, {measured.end * 1.02}, {measured.end * 0.98}};
  set_timelines(step.measured, {measured, measured, measured, measured});
  const auto base = static_cast<std::size_t>(MemoryCategory::Base);
  for (const DeviceId device : step.program.devices)
    step.measured.peak_memory.push_back(step.program.peak_memory[device.index()] -
                                        step.program.static_memory[device.index()][base]);
  return step;
}

const ComparedFigure& find(const std::vector<ComparedFigure>& figures, const std::string& name) {
  for (const ComparedFigure& figure : figures)
    if (figure.name == name) return figure;
  ADD_FAILURE() << "no figure " << name;
  return figures.front();
}

TEST(Comparison, PutsFiguresSideBySide) {
  const ComparedStep step = made_up(1.5);
  const PlanComparison comparison = compare(step);
  // Two micro-batches of (1 + 1 + 2 + 2) s; measured 1 s more each.
  EXPECT_NEAR(comparison.step.predicted, 12.0, 1e-6);
  EXPECT_NEAR(comparison.step.measured, 14.0, 1e-6);
  EXPECT_NEAR(find(comparison.stages, "stage 1 backward").predicted, 2.0, 1e-9);
  EXPECT_NEAR(find(comparison.stages, "stage 1 backward").measured, 3.0, 1e-9);
  EXPECT_NEAR(find(comparison.stages, "stage 1 backward").error(), 2.0 / 3.0 - 1.0, 1e-9);
  EXPECT_NEAR(find(comparison.stages, "stage 0 forward").measured, 1.0, 1e-9);
  EXPECT_NEAR(comparison.noise, 0.02, 1e-9);
  for (const ComparedFigure& memory : comparison.memory) EXPECT_EQ(memory.error(), 0.0);
}

TEST(Comparison, NamesTheCause) {
  const PlanComparison comparison = compare(made_up(1.5));
  ASSERT_GE(comparison.instructions.size(), 2U);
  // Two backwards of stage 1 have the whole error.
  EXPECT_NEAR(comparison.instructions[0].share, 0.5, 1e-9);
  EXPECT_NEAR(comparison.instructions[1].share, 0.5, 1e-9);
  // Compute of device 1 and waiting of device 0 both grow by 2 s, a mean of 1 s a device.
  const bool is_named = comparison.cause.find("backwards of stage 1") != std::string::npos ||
                        comparison.cause.find("waiting") != std::string::npos;
  EXPECT_TRUE(is_named) << comparison.cause;
  EXPECT_NE(compare(made_up(1.0)).cause.find("noise"), std::string::npos);
}

TEST(Comparison, OfASet) {
  std::vector<ComparedStep> steps;
  steps.push_back(made_up(1.5));
  steps.push_back(made_up(1.0));
  std::vector<PlanComparison> comparisons;
  for (const ComparedStep& step : steps) comparisons.push_back(compare(step));
  const SetComparison set = compare_set(steps, comparisons);
  // 12 against 14, and 12 against 12.
  EXPECT_NEAR(set.max_error, 1.0 / 7.0, 1e-9);
  EXPECT_NEAR(set.mean_error, 0.5 / 7.0, 1e-9);
  EXPECT_EQ(set.tau, 0.0);  // one pair, predicted equal
}

TEST(Comparison, TraceMatchesInstructions) {
  const ComparedStep step = made_up(1.5);
  const auto trace = nlohmann::json::parse(to_perfetto_comparison(step));
  std::map<std::size_t, int> spans;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("ph") == "X") ++spans[event.at("args").at("instruction").get<std::size_t>()];
  ASSERT_EQ(spans.size(), step.program.instructions.size());
  for (const auto& [instruction, count] : spans) EXPECT_EQ(count, 2) << instruction;
}

TEST(Comparison, PageIsWhole) {
  std::vector<ComparedStep> steps;
  steps.push_back(made_up(1.5));
  steps.back().name = "<script>";
  steps.push_back(made_up(1.0));
  std::vector<PlanComparison> comparisons;
  for (const ComparedStep& step : steps) comparisons.push_back(compare(step));
  const std::string page = to_html(steps, comparisons);
  EXPECT_NE(page.find("Kendall's tau"), std::string::npos);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
  EXPECT_TRUE(page.ends_with("</html>\n"));
}

TEST(MeasuredPlans, AreReadBack) {
  const ComparedStep step = made_up(1.25);
  const auto plans = parse_measured_plans(to_json_text(std::vector{step.measured}), "file");
  ASSERT_EQ(plans.size(), 1U);
  EXPECT_EQ(plans[0].median_step(), step.measured.median_step());
  EXPECT_EQ(plans[0].typical, step.measured.typical);
  EXPECT_EQ(plans[0].timeline.spans.size(), step.measured.timeline.spans.size());
  EXPECT_THROW((void)parse_measured_plans("{}", "file"), InputError);
}

}  // namespace
}  // namespace gabra
