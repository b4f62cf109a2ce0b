// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/data/cohort.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace gabra::data {

struct SplitOptions {
  std::uint64_t seed = 0;
  double validation = 0.15;  ///< fractions of each class; unused with folds
  double test = 0.15;
  std::int64_t folds = 0;  ///< 0: fractions; K >= 3: fold `fold` is the test part, the next one (cyclic) validation
  std::int64_t fold = 0;   ///< 0 .. folds - 1
};

/// Indices into Cohort::subjects, ascending. No person is in two parts; all visits go together.
struct Split {
  std::vector<std::size_t> train;
  std::vector<std::size_t> validation;
  std::vector<std::size_t> test;
};

/// Stratified by class and seeded: depends on seed, options, ids and labels alone. Each class is shuffled; each part
/// gets its rounded share, and at least one subject of each class unless its fraction is 0. Throws InputError for
/// fractions or folds out of range and for classes too small for the parts.
[[nodiscard]] Split split_subjects(const Cohort& cohort, const SplitOptions& options);

/// n / (K n_c) for each of K classes over the samples' labels; 0 for a class without samples.
[[nodiscard]] std::vector<double> class_weights(std::span<const Sample> samples, std::size_t classes);

}  // namespace gabra::data
