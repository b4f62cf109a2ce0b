// SPDX-License-Identifier: MIT
#include "gabra/sim/simulator.hpp"

#include "engine.hpp"
#include "random_program.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

namespace gabra::sim {
namespace {

using test::bits_of;
using test::hash_of;
using test::make_star;
using test::random_program;

TEST(Repeatability, SameBitsBeforeAndAfterTenThousandOtherPrograms) {
  const Cluster cluster = make_star(8, 10e9, 3e-6, 1.1);
  Simulator simulator(cluster);
  std::vector<Program> programs;
  std::vector<std::vector<std::uint64_t>> before;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    programs.push_back(random_program(seed, 8, 120));
    before.push_back(bits_of(simulator.run(programs.back())));
  }
  std::vector<Program> others;
  for (std::uint64_t seed = 100; seed < 600; ++seed) others.push_back(random_program(seed, 8, 10 + int(seed) % 40));
  for (int round = 0; round < 20; ++round) {
    for (const Program& other : others) static_cast<void>(simulator.run(other));
    for (std::size_t i = 0; i < programs.size(); ++i) {
      ASSERT_EQ(bits_of(simulator.run(programs[i])), before[i]) << "seed " << i << ", round " << round;
    }
  }
}

TEST(Repeatability, SameBitsWithOtherClustersInBetween) {
  const Cluster cluster = make_star(4, 25e9, 1e-6);
  const Program program = random_program(7, 4, 200);
  Simulator simulator(cluster);
  const std::vector<std::uint64_t> first = bits_of(simulator.run(program));
  for (int devices = 2; devices < 12; ++devices) {
    const Cluster other = make_star(devices, 1e9 * devices, 2e-6, 1.0 + 0.1 * devices);
    Simulator of_other(other);
    static_cast<void>(of_other.run(random_program(static_cast<std::uint64_t>(devices), devices, 100)));
    EXPECT_EQ(bits_of(simulator.run(program)), first);
  }
  const Cluster again = make_star(4, 25e9, 1e-6);
  EXPECT_EQ(bits_of(Simulator(again).run(program)), first);
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), &pclose);
  std::string output;
  std::array<char, 256> part{};
  while (pipe && fgets(part.data(), part.size(), pipe.get()) != nullptr) output += part.data();
  return output;
}

TEST(Repeatability, SameBitsInAnotherProcess) {
  const Cluster cluster = make_star(8, 10e9, 3e-6, 1.1);
  Simulator simulator(cluster);
  for (std::uint64_t seed = 0; seed < 30; ++seed) static_cast<void>(simulator.run(random_program(seed, 8, 50)));
  for (const std::uint64_t seed : {3ULL, 1000ULL}) {
    const std::string here = fmt::format("{:016x}\n", hash_of(simulator.run(random_program(seed, 8, 120))));
    EXPECT_EQ(here, output_of(fmt::format("{} {}", SIM_REPEAT_PROGRAM, seed)));
  }
}

TEST(Repeatability, HoldsWithoutSettingTheClockToo) {
  if (clock_rule() != ClockRule::Reset) GTEST_SKIP() << "this SimGrid's clock cannot be set";
  const Cluster cluster = make_star(8, 10e9, 3e-6, 1.1);
  Simulator simulator(cluster);
  const Program program = random_program(5, 8, 120);
  const Simulation with_reset = simulator.run(program);
  use_clock_rule(ClockRule::Aligned);
  const std::vector<std::uint64_t> first = bits_of(simulator.run(program));
  for (std::uint64_t seed = 0; seed < 500; ++seed) static_cast<void>(simulator.run(random_program(seed, 8, 60)));
  const Simulation again = simulator.run(program);
  use_clock_rule(ClockRule::Reset);
  EXPECT_EQ(bits_of(again), first);
  // Dates near 65,536 s are multiples of 1.5e-11 s.
  EXPECT_NEAR(again.report.step.value(), with_reset.report.step.value(), 1e-9);
  EXPECT_EQ(bits_of(simulator.run(program)), bits_of(with_reset));
}

}  // namespace
}  // namespace gabra::sim
