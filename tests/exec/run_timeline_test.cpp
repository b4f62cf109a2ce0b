// SPDX-License-Identifier: MIT
// Whether what ran is what is simulated: the order and the bytes of every stream in the measured timelines that
// run_parity_test wrote against the simulator's of the same plans. run_timeline_test FILE.
#include "gabra/plan/compiler.hpp"
#include "gabra/sim/simulator.hpp"
#include "support/random_cases.hpp"
#include "support/stream_lines.hpp"

#include <fstream>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace gabra;

int compare(std::istream& measured) {
  const std::vector<exec::SmallProblem> problems = exec::make_small_problems();
  const std::vector<exec::RandomCase> cases = exec::make_random_cases(problems, exec::kCaseSeed, exec::kCaseCount);
  int streams = 0;
  int differing = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Problem& problem = problems[cases[i].problem].problem;
    const auto compiled = Compiler(problem).compile(cases[i].plan);
    const Program& program = std::get<Program>(compiled);
    sim::Simulator simulator(*problem.cluster);
    for (const exec::StreamLine& line : exec::stream_lines(program, simulator.run(program).timeline)) {
      const std::string simulated = "case " + std::to_string(i) + " " + exec::to_text(line);
      std::string found;
      std::getline(measured, found);
      ++streams;
      if (found == simulated) continue;
      ++differing;
      std::cout << describe_case(problems, cases[i]) << "\n  measured  " << found << "\n  simulated " << simulated
                << "\n";
    }
  }
  std::string rest;
  const bool has_more = static_cast<bool>(std::getline(measured, rest));
  std::cout << cases.size() << " plans, " << streams << " streams, " << differing << " differ\n";
  return differing == 0 && !has_more ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream measured(argc == 2 ? argv[1] : "");
  if (!measured) {
    std::cerr << "run_timeline_test FILE, which run_parity_test writes\n";
    return 1;
  }
  return compare(measured);
}
