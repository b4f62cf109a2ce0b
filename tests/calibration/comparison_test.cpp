// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"

#include "gabra/plan/compiler.hpp"
#include "gabra/plan/timeline_report.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

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
  ASSERT_TRUE(comparison.noise.has_value());
  EXPECT_NEAR(*comparison.noise, 0.02, 1e-9);
  for (const ComparedFigure& memory : comparison.memory) EXPECT_EQ(memory.error(), 0.0);
}

TEST(Comparison, NamesTheCause) {
  const PlanComparison comparison = compare(made_up(1.5));
  ASSERT_GE(comparison.instructions.size(), 2U);
  // Two backwards of stage 1 have the whole error.
  EXPECT_NEAR(comparison.instructions[0].share, 0.5, 1e-9);
  EXPECT_NEAR(comparison.instructions[1].share, 0.5, 1e-9);
  // Compute of device 1 and, because of it, waiting of device 0 grow by 2 s: 2 s a device of stage 1, 1 s a device.
  EXPECT_NE(comparison.cause.find("backwards of stage 1: 2.000 s more"), std::string::npos) << comparison.cause;
  EXPECT_NE(compare(made_up(1.0)).cause.find("noise"), std::string::npos);
}

Validation validation_of(std::vector<ComparedStep> steps) {
  Validation validation;
  validation.is_set = steps.size() > 1;
  for (const ComparedStep& step : steps) validation.comparisons.push_back(compare(step));
  validation.steps = std::move(steps);
  return validation;
}

TEST(Comparison, OfASet) {
  const Validation two = validation_of({made_up(1.5), made_up(1.0)});
  const SetComparison set = compare_set(two.steps, two.comparisons);
  // 12 against 14, and 12 against 12.
  EXPECT_NEAR(set.max_error, 1.0 / 7.0, 1e-9);
  EXPECT_NEAR(set.mean_error, 0.5 / 7.0, 1e-9);
  EXPECT_EQ(set.ordered_pairs, 1);
  EXPECT_EQ(set.tau, 0.0);  // predicted equal
  // Either may be picked; the first is.
  ASSERT_TRUE(set.regret.has_value());
  EXPECT_NEAR(*set.regret, 14.0 / 12.0 - 1.0, 1e-9);
}

TEST(Comparison, SaysWhatASinglePlanCannotTell) {
  ComparedStep step = made_up(1.5);
  step.measured.rounds = {{Seconds(14.0)}};
  const Validation one = validation_of({step});
  EXPECT_FALSE(one.comparisons[0].noise.has_value());
  const SetComparison set = compare_set(one.steps, one.comparisons);
  EXPECT_FALSE(set.noise || set.tau || set.regret);
  EXPECT_NEAR(set.mean_error, 1.0 / 7.0, 1e-9);
  const std::string text = to_text(set, 1);
  EXPECT_NE(text.find("14.3 % in the mean"), std::string::npos) << text;
  EXPECT_NE(text.find("noise of the machine unknown"), std::string::npos) << text;
  EXPECT_EQ(text.find("Kendall"), std::string::npos) << text;
}

TEST(Comparison, TraceMatchesInstructions) {
  Validation two = validation_of({made_up(1.5), made_up(1.0)});
  two.steps[0].name = "a";
  two.steps[1].name = "b";
  const auto trace = nlohmann::json::parse(to_perfetto_comparison(two));
  // Names of processes without the engine, so that a span and its twin stand in tracks of the same names.
  std::map<int, std::string> processes;
  std::map<std::pair<int, int>, std::string> tracks;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "M") continue;
    std::string name = event.at("args").value("name", "");
    if (event.at("name") == "process_name") processes[event.at("pid")] = name.substr(0, name.rfind(' '));
    if (event.at("name") == "thread_name") tracks[{event.at("pid"), event.at("tid")}] = name;
  }
  EXPECT_EQ(processes.size(), 8U);  // 2 plans x 2 devices x 2 engines
  std::map<std::string, std::set<std::string>> engines;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const int pid = event.at("pid");
    const std::string what = processes.at(pid) + "/" + tracks.at({pid, event.at("tid")}) + "/" +
                             event.at("name").get<std::string>() + "/" +
                             std::to_string(event.at("args").at("instruction").get<int>());
    EXPECT_TRUE(engines[what].insert(event.at("cat")).second) << what << " twice";
  }
  EXPECT_EQ(processes.begin()->second, "a: d0");
  EXPECT_EQ(engines.size(), 2 * two.steps[0].program.instructions.size());
  for (const auto& [what, both] : engines) EXPECT_EQ(both, (std::set<std::string>{"measured", "predicted"})) << what;
}

TEST(Comparison, PageIsWhole) {
  Validation two = validation_of({made_up(1.5), made_up(1.0)});
  two.steps[0].name = "<script>";
  two.steps[1].notes = {"extrapolated & more"};
  two.left_out = {{"c", "c.json", "rank 1 was ended by signal 9 (Killed)"}};
  const std::string page = to_html(two);
  for (const char* text : {"Kendall's tau", "&lt;script&gt;", "extrapolated &amp; more", "signal 9"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_TRUE(page.ends_with("</html>\n"));
}

}  // namespace
}  // namespace gabra
