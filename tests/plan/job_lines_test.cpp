// SPDX-License-Identifier: MIT
#include "gabra/plan/job_lines.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/error.hpp"
#include "gabra/network/zoo.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

MeasureRequest some_request() {
  MeasureRequest request;
  request.id = 7;
  request.warm_up = 3;
  request.steps = 9;
  request.give_up_above = Seconds(0.1 + 0.2);  // no short decimal number
  request.step_limit = Seconds(12.5);
  request.seed = 11;
  Problem& problem = request.plan.problem;
  problem.network = std::make_shared<Network>(make_zoo_network("3d-resattnet-18:width=8,input=1x16x16x16"));
  problem.cluster = std::make_shared<Cluster>(make_preset_cluster("workstation-cpu:gpus=2"));
  problem.training.global_batch = 8;
  request.plan.plan.micro_batches = 4;
  request.plan.plan.stages = parse_stages("0-5@0 6-12@1/always", *problem.network, *problem.cluster);
  return request;
}

MeasureReply some_reply() {
  MeasuredSteps measured;
  measured.end = MeasuredSteps::End::GaveUp;
  measured.steps = {Seconds(0.1), Seconds(1.0 / 3.0)};
  measured.report.step = Seconds(0.1 + 0.2);
  measured.report.samples_per_second = 1.0 / 3.0;
  measured.report.peak_memory = Bytes(std::int64_t{1} << 53);
  measured.report.devices = {{DeviceId(1), Seconds(0.1), Seconds(0.2), Seconds(0.3), Bytes(17), Joules(0.7)}};
  measured.report.links = {{LinkId(3), 1e9 / 3.0, Seconds(0.25)}};
  return {.id = 5, .result = measured};
}

std::string fault_of(const std::string& line) {
  try {
    (void)parse_measure_request(line, "request");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no fault";
}

TEST(JobLines, RequestsComeBackAsTheyWere) {
  const MeasureRequest request = some_request();
  const std::string line = to_line(request);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const MeasureRequest back = parse_measure_request(line, "request");
  EXPECT_EQ(back.id, 7);
  EXPECT_EQ(back.warm_up, 3);
  EXPECT_EQ(back.steps, 9);
  EXPECT_EQ(back.give_up_above, request.give_up_above);
  EXPECT_EQ(back.step_limit, request.step_limit);
  EXPECT_EQ(back.seed, 11U);
  EXPECT_EQ(back.plan.plan, request.plan.plan);
  EXPECT_EQ(back.plan.problem.network->fingerprint(), request.plan.problem.network->fingerprint());
  EXPECT_EQ(back.plan.problem.cluster->fingerprint(), request.plan.problem.cluster->fingerprint());
  EXPECT_EQ(to_line(back), line);
  EXPECT_EQ(request_id(line), 7);
}

TEST(JobLines, RepliesComeBackBitForBit) {
  const std::string line = to_line(some_reply());
  const MeasureReply back = parse_measure_reply(line, "answer");
  EXPECT_EQ(back.id, 5);
  EXPECT_EQ(to_line(back), line);
  const auto& measured = std::get<MeasuredSteps>(back.result);
  EXPECT_EQ(measured.steps, std::get<MeasuredSteps>(some_reply().result).steps);
  EXPECT_EQ(measured.report.step, Seconds(0.1 + 0.2));
  EXPECT_EQ(measured.report.devices.front().energy, Joules(0.7));
  EXPECT_EQ(measured.report.links.front().bytes, 1e9 / 3.0);
}

TEST(JobLines, TimelinesComeBackInNanoseconds) {
  MeasureRequest request = some_request();
  request.keeps_timelines = true;
  request.most_steps = 27;
  EXPECT_EQ(parse_measure_request(to_line(request), "request").most_steps, 27);
  EXPECT_TRUE(parse_measure_request(to_line(request), "request").keeps_timelines);
  EXPECT_FALSE(parse_measure_request(to_line(some_request()), "request").keeps_timelines);
  MeasureReply reply = some_reply();
  Timeline timeline;
  timeline.spans = {{Seconds(0.0), Seconds(2e-9)}, {Seconds(1e-9), Seconds(0.25)}};
  std::get<MeasuredSteps>(reply.result).timelines = {timeline, timeline};
  std::get<MeasuredSteps>(reply.result).disturbed = 4;
  const MeasureReply back = parse_measure_reply(to_line(reply), "answer");
  EXPECT_EQ(std::get<MeasuredSteps>(back.result).disturbed, 4);
  const auto& timelines = std::get<MeasuredSteps>(back.result).timelines;
  ASSERT_EQ(timelines.size(), 2U);
  ASSERT_EQ(timelines[1].spans.size(), 2U);
  EXPECT_EQ(timelines[1].spans[0].end, Seconds(2e-9));
  EXPECT_EQ(timelines[1].spans[1].begin, Seconds(1e-9));
  EXPECT_EQ(timelines[1].end, Seconds(0.25));
  std::string odd = to_line(reply);
  odd.replace(odd.find("[[0,2,"), 6, "[[2,");
  EXPECT_THROW((void)parse_measure_reply(odd, "answer"), InputError);
}

TEST(JobLines, ReasonsAndRefusalsComeBack) {
  Infeasible memory{Infeasible::Reason::Memory, "", DeviceId(1), Bytes(30), Bytes(20), {}};
  memory.breakdown[2] = Bytes(25);
  const MeasureReply back = parse_measure_reply(to_line({.id = 1, .result = memory}), "answer");
  const auto& reason = std::get<Infeasible>(back.result);
  EXPECT_EQ(reason.excess(), Bytes(10));
  EXPECT_EQ(reason.device, DeviceId(1));
  EXPECT_EQ(reason.breakdown, memory.breakdown);
  const MeasureReply refused =
      parse_measure_reply(to_line({.id = 2, .result = Refused{{{"a", "b \"quoted\"", "c"}}}}), "answer");
  EXPECT_EQ(std::get<Refused>(refused.result).faults.front().seen, "b \"quoted\"");
}

TEST(JobLines, GreetingsComeBack) {
  JobGreeting greeting{"0.1.0", "abc-dirty", "cuda", 3, {{"node1", "H100", 16}, {"node2", "H100", 32}}};
  EXPECT_EQ(parse_job_greeting(to_line(greeting), "greeting"), greeting);
}

TEST(JobLines, EveryFaultOfALineIsReported) {
  EXPECT_NE(fault_of("{").find("request"), std::string::npos);
  const std::string several =
      fault_of(R"({"schema": "gabra/job/2", "kind": "measure", "id": -1, "warm_up": 0, "steps": "x", "surplus": 1})");
  for (const char* part : {"$.schema", "$.id", "$.warm_up", "$.steps", "$.step_limit_s", "$.plan", "$.surplus"})
    EXPECT_NE(several.find(part), std::string::npos) << part << " in " << several;
  EXPECT_THROW((void)parse_measure_reply(R"({"schema":"gabra/job/1","kind":"measured","id":1,"end":"complete"})", "a"),
               InputError);
  EXPECT_THROW((void)parse_job_greeting("mpirun: command not found", "greeting"), InputError);
  EXPECT_EQ(request_id("not JSON"), 0);
  EXPECT_EQ(request_id(R"({"id": "seven"})"), 0);
}

}  // namespace
}  // namespace gabra
