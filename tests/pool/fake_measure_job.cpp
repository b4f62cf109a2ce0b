// SPDX-License-Identifier: MIT
// Speaks as `gabra-exec measure` does, and misbehaves when it is told to: fake_measure_job [RANKS] [MODE], where the
// mode is a thing to do in place of the answer to a plan of several stages: die, hang, garble, wrong-id; or at the
// start: mute, no-greeting, refuse. The step of a plan takes 0.1 s x its stages x micro-batches.
#include "gabra/plan/job_lines.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <string>

namespace {

using namespace gabra;

void misbehave(const std::string& mode, MeasureReply& reply) {
  if (mode == "die") {
    std::cerr << "gabra-exec: rank 1: not enough memory: 12 GB asked for" << std::endl;
    std::raise(SIGKILL);
  }
  if (mode == "hang")
    while (true) ::pause();
  if (mode == "garble") {
    std::cout << "Segmentation fault?" << std::endl;
    while (true) ::pause();
  }
  if (mode == "wrong-id") ++reply.id;
  if (mode == "refuse") reply.result = Refused{{{"--network", "an opaque layer", "none"}}};
}

}  // namespace

int main(int argument_count, char** arguments) {
  const std::string ranks = argument_count > 1 ? arguments[1] : "2";
  const std::string mode = argument_count > 2 ? arguments[2] : "";
  if (mode == "mute")
    while (true) ::pause();
  if (mode == "no-greeting") {
    std::cerr << "bash: gabra-exec: command not found" << std::endl;
    return 127;
  }
  JobGreeting greeting;
  greeting.version = "1";
  greeting.git = "abc";
  for (int i = 0; i < std::stoi(ranks); ++i) greeting.ranks.push_back({"host", "processor", 2});
  std::cout << to_line(greeting) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const MeasureRequest request = parse_measure_request(line, "request");
    const Plan& plan = request.plan.plan;
    MeasuredSteps measured;
    const Seconds step(0.1 * static_cast<double>(plan.stages.size()) * static_cast<double>(plan.micro_batches));
    const bool gives_up = request.give_up_above && step > *request.give_up_above;
    measured.end = gives_up ? MeasuredSteps::End::GaveUp : MeasuredSteps::End::Complete;
    measured.steps.assign(static_cast<std::size_t>(gives_up ? std::min<std::int64_t>(2, request.steps) : request.steps),
                          step);
    measured.report.step = step;
    MeasureReply reply{.id = request.id, .result = measured};
    if (plan.stages.size() > 1) misbehave(mode, reply);
    std::cout << to_line(reply) << std::endl;
  }
  return 0;
}
