// SPDX-License-Identifier: MIT
#include "gabra/plan/render.hpp"

#include "gabra/plan/compiler.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <sstream>

namespace gabra {
namespace {

using nlohmann::json;
using test::stage;

/// Two stages on two devices, forward 1 s and backward 2 s each, two micro-batches, transfers of 1 s; run by hand.
class Render : public ::testing::Test {
 protected:
  Render() : problem_(test::toy_problem(test::equal_layers(2, {.output_bytes = 1000}), {.devices = 2}, 2)) {
    const Plan plan{.micro_batches = 2, .stages = {stage(0, 1, {0}, Recompute::Always), stage(1, 2, {1})}};
    Compiler compiler(problem_);
    program_ = std::get<Program>(compiler.compile(plan));
    timeline_.spans.resize(program_.instructions.size());
    // Everything as early as its predecessors allow, a transfer when both its ends may start.
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
      const Instruction& instruction = program_.instructions[i];
      double begin = ready(InstructionId(i));
      double seconds = instruction.seconds.value();
      if (instruction.partner.is_valid()) {
        begin = std::max(begin, ready(instruction.partner));
        seconds = 1.0;
      }
      timeline_.spans[i] = {Seconds(begin), Seconds(begin + seconds)};
      timeline_.end = std::max(timeline_.end, Seconds(begin + seconds));
    }
  }

  [[nodiscard]] double ready(InstructionId id) const {
    double time = 0.0;
    for (const InstructionId earlier : program_.predecessors.of(id))
      time = std::max(time, timeline_.spans[earlier.index()].end.value());
    return time;
  }
  [[nodiscard]] StepPicture picture() const { return {problem_, program_, timeline_}; }
  [[nodiscard]] std::size_t count(Opcode opcode) const {
    return static_cast<std::size_t>(
        std::count_if(program_.instructions.begin(), program_.instructions.end(),
                      [&](const Instruction& instruction) { return instruction.opcode == opcode; }));
  }

  Problem problem_;
  Program program_;
  Timeline timeline_;
};

TEST_F(Render, PerfettoHasATrackPerStreamAndArrowsInsideSpans) {
  const json trace = json::parse(to_perfetto_trace(picture()));
  std::map<std::string, std::size_t> kinds;
  std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> tracks;
  for (const json& event : trace.at("traceEvents")) {
    ++kinds[event.at("ph").get<std::string>()];
    if (event.at("ph") == "X")
      tracks[{event.at("pid"), event.at("tid")}].emplace_back(
          event.at("ts"), event.at("ts").get<double>() + event.at("dur").get<double>());
  }
  EXPECT_EQ(kinds.at("X"), program_.instructions.size());
  EXPECT_EQ(kinds.at("s"), count(Opcode::Send));
  EXPECT_EQ(kinds.at("f"), count(Opcode::Send));
  EXPECT_EQ(kinds.at("M"), 2 * program_.devices.size() + 2 * program_.streams.size());
  EXPECT_GT(kinds.at("C"), 2U);
  EXPECT_EQ(tracks.size(), program_.streams.size());
  for (auto& [track, spans] : tracks) {
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 1; i < spans.size(); ++i) EXPECT_LE(spans[i - 1].second, spans[i].first);
  }
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "s" && event.at("ph") != "f") continue;
    const auto& spans = tracks.at({event.at("pid"), event.at("tid")});
    const double time = event.at("ts");
    EXPECT_TRUE(std::any_of(spans.begin(), spans.end(),
                            [&](const auto& span) { return span.first <= time && time < span.second; }));
  }
}

TEST_F(Render, PerfettoCountsInMicrosecondsWithNanoseconds) {
  timeline_.spans[0] = {Seconds(1.234567891e-3), Seconds(2.0)};
  const json trace = json::parse(to_perfetto_trace(picture()));
  for (const json& event : trace.at("traceEvents"))
    if (event.at("ph") == "X" && event.at("args").at("instruction") == 0) {
      EXPECT_DOUBLE_EQ(event.at("ts"), 1234.568);
    }
}

TEST_F(Render, GanttFitsAnyWidth) {
  for (const int columns : {-5, 0, 1, 20, 40, 80, 333, 100000}) {
    std::istringstream lines(to_gantt_text(picture(), columns));
    std::string first, second;
    std::getline(lines, first);
    std::getline(lines, second);
    EXPECT_EQ(first.size(), second.size());
    if (columns >= 20 && columns <= 2000) {
      EXPECT_EQ(first.size(), static_cast<std::size_t>(columns));
    }
  }
}

TEST(Gantt, DrawsForwardBackwardAndIdle) {
  // One micro-batch through two stages of forward 1 s and backward 2 s without transfer time: the step takes 6 s. In 60
  // cells: d0 computes 0-1 and 4-6, d1 computes 1-4.
  const Problem problem = test::toy_problem(test::equal_layers(2), {.devices = 2}, 1);
  Compiler compiler(problem);
  const Program program =
      std::get<Program>(compiler.compile({.micro_batches = 1, .stages = {stage(0, 1, {0}), stage(1, 2, {1})}}));
  Timeline timeline;
  timeline.end = Seconds(6.0);
  for (const Instruction& instruction : program.instructions) {
    const bool is_first = instruction.device == DeviceId(0);
    Timeline::Span span{Seconds(is_first ? 1.0 : 2.0), Seconds(is_first ? 1.0 : 2.0)};
    if (instruction.opcode == Opcode::Forward) span = {Seconds(is_first ? 0.0 : 1.0), Seconds(is_first ? 1.0 : 2.0)};
    if (instruction.opcode == Opcode::Backward) span = {Seconds(is_first ? 4.0 : 2.0), Seconds(is_first ? 6.0 : 4.0)};
    timeline.spans.push_back(span);
  }
  const std::string text = to_gantt_text({problem, program, timeline}, 70);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            "d0 |>0>>>>>>>>" + std::string(30, '.') + "<0" + std::string(18, '<') + "|  50%");
  EXPECT_NE(text.find("d1 |..........>0>>>>>>>><0" + std::string(18, '<') + std::string(20, '.') + "|  50%"),
            std::string::npos)
      << text;
}

TEST_F(Render, SvgNamesEveryDeviceAndEscapes) {
  const std::string svg = to_svg(picture());
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  for (const char* text : {">d0</text>", ">d1</text>", ">forward</text>", ">backward</text>", ">recompute</text>",
                           ">send</text>", ">receive</text>", "time since the step began"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  EXPECT_EQ(svg.find(">all-reduce</text>\n<text x=\"1250\""), std::string::npos) << "nothing is replicated";
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST_F(Render, PajeIsOrderedAndBalanced) {
  std::istringstream lines(to_paje_trace(picture()));
  std::string line;
  std::map<int, std::size_t> events;
  double last = 0.0;
  while (std::getline(lines, line)) {
    if (line.starts_with("%")) continue;
    std::istringstream words(line);
    int event = -1;
    double time = 0.0;
    words >> event;
    ++events[event];
    if (event < 7) continue;
    words >> time;
    EXPECT_GE(time, last) << line;
    last = time;
  }
  EXPECT_EQ(events[7], program_.instructions.size()) << "pushed";
  EXPECT_EQ(events[8], program_.instructions.size()) << "popped";
  EXPECT_EQ(events[10], count(Opcode::Send));
  EXPECT_EQ(events[11], count(Opcode::Send));
  EXPECT_EQ(events[5], events[6]) << "containers made and destroyed";
}

TEST_F(Render, TimelineJsonHasEveryInstruction) {
  const json timeline = json::parse(to_timeline_json(picture()));
  EXPECT_EQ(timeline.at("schema"), "gabra/timeline/1");
  EXPECT_EQ(timeline.at("spans").size(), program_.instructions.size());
  EXPECT_EQ(timeline.at("step_time_s").get<double>(), timeline_.end.value());
}

TEST_F(Render, MemorySamplesEndWhereTheyBegan) {
  // What a step takes it gives back: the last sample of a device equals its static memory.
  std::map<DeviceId, Bytes> last;
  Seconds time;
  for (const MemorySample& sample : memory_samples(program_, timeline_)) {
    EXPECT_GE(sample.time, time);
    time = sample.time;
    last[sample.device] = sample.in_use;
    EXPECT_LE(sample.in_use, program_.peak_memory[sample.device.index()]);
  }
  for (const DeviceId device : program_.devices) {
    Bytes fixed;
    for (const Bytes bytes : program_.static_memory[device.index()]) fixed += bytes;
    EXPECT_EQ(last.at(device), fixed);
  }
}

}  // namespace
}  // namespace gabra
