// SPDX-License-Identifier: MIT
#include "load_gauge.hpp"

#include "gabra/exec/mpi_world.hpp"

#include <algorithm>
#include <array>

namespace gabra::exec {
namespace {

constexpr int kRepetitions = 3;  // the shortest counts: an interrupt is no disturbance
constexpr int kRounds = 20'000;

/// Loads, stores and additions in the nearest cache: what two threads of one core share. (Chains of additions in
/// registers alone wait for themselves, and take no longer beside another thread.)
double time_of_work() {
  std::array<float, 64> sums{};
  const double begin = monotonic_seconds();
  for (int i = 0; i < kRounds; ++i) {
    for (float& sum : sums) sum = sum * 0.999F + 1.0F;
    asm volatile(""
                 :
                 : "r"(sums.data())
                 : "memory");  // every round goes through memory, whatever the compiler would do
  }
  return monotonic_seconds() - begin;
}

}  // namespace

double LoadGauge::slowness() {
  double seconds = time_of_work();
  for (int i = 1; i < kRepetitions; ++i) seconds = std::min(seconds, time_of_work());
  shortest_ = shortest_ > 0.0 ? std::min(shortest_, seconds) : seconds;
  return seconds / shortest_;
}

}  // namespace gabra::exec
