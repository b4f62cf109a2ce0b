// SPDX-License-Identifier: MIT
// Prints the hash of the simulation of a random program, for repeatability_test.cpp to compare with its own.
#include "random_program.hpp"

#include <fmt/format.h>

#include <string>

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const gabra::Cluster cluster = gabra::test::make_star(8, 10e9, 3e-6, 1.1);
  gabra::sim::Simulator simulator(cluster);
  const gabra::Program program = gabra::test::random_program(std::stoull(arguments[1]), 8, 120);
  fmt::print("{:016x}\n", gabra::test::hash_of(simulator.run(program)));
  return 0;
}
