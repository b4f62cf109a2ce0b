// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// A small training problem: a network in which every plan can be compared with serial training in moments.
struct SmallProblem {
  std::string name;
  Problem problem;  ///< on four CPU processes
  std::int64_t micro_batches = 4;
  bool is_float64 = true;
};

inline constexpr std::uint64_t kCaseSeed = 20261123;
inline constexpr std::size_t kCaseCount = 72;

/// A plan of one of the small problems, and which of the executor's features it has.
struct RandomCase {
  std::size_t problem = 0;
  Plan plan;
  std::vector<std::string> features;
};

/// 3-D ResAttNet, 3-D U-Net, a 3-D network with dropout, a transformer with dropout; float64 with SGD and AdamW, and
/// float32; with and without clipping.
[[nodiscard]] std::vector<SmallProblem> make_small_problems();

/// `count` plans, the same for the same seed everywhere. No LibTorch here: the simulator's side of a comparison makes
/// the same plans in a process of its own.
[[nodiscard]] std::vector<RandomCase> make_random_cases(const std::vector<SmallProblem>& problems, std::uint64_t seed,
                                                        std::size_t count);

/// How many cases have each feature; features that none has are there with 0.
[[nodiscard]] std::map<std::string, int> count_features(const std::vector<RandomCase>& cases);

/// "resattnet 1f1b M=4 0-3@0,1 4-9@2".
[[nodiscard]] std::string describe_case(const std::vector<SmallProblem>& problems, const RandomCase& one);

}  // namespace gabra::exec
