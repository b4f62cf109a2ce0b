// SPDX-License-Identifier: MIT
#include "gabra/data/split.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/rng.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra::data {
namespace {

constexpr std::uint64_t kSplitStream = 0x73706c6974;  // "split": apart from other uses of the seed

void check(const SplitOptions& options, FaultList& faults) {
  if (options.folds != 0) {
    if (options.folds < 3)
      faults.add("--folds", fmt::format("{}", options.folds),
                 "0 (none) or at least 3: one part for the test, one for validation, the rest for training");
    else if (options.fold < 0 || options.fold >= options.folds)
      faults.add("--fold", fmt::format("{}", options.fold), fmt::format("0 to {}", options.folds - 1));
    return;
  }
  const auto is_share = [](double value) { return value >= 0.0 && value < 1.0; };
  if (!is_share(options.validation))
    faults.add("--validation", fmt::format("{}", options.validation), "a fraction, at least 0 and below 1");
  if (!is_share(options.test))
    faults.add("--test", fmt::format("{}", options.test), "a fraction, at least 0 and below 1");
  if (is_share(options.validation) && is_share(options.test) && options.validation + options.test >= 1.0)
    faults.add("--validation and --test", fmt::format("{} and {}", options.validation, options.test),
               "fractions that leave something to train on: a sum below 1");
}

/// Rounded share of `count`, at least one unless the fraction is 0.
std::size_t share_of(std::size_t count, double fraction) {
  if (fraction <= 0.0) return 0;
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(fraction * static_cast<double>(count))));
}

/// Puts the shuffled members of one class into the parts.
void deal_fractions(std::span<const std::size_t> members, const SplitOptions& options, Split& split) {
  const std::size_t test = share_of(members.size(), options.test);
  // Rounding two shares up may not use up a small class.
  const std::size_t left = members.size() - test;
  const std::size_t validation = std::min(share_of(members.size(), options.validation), left - 1);
  for (std::size_t i = 0; i < members.size(); ++i)
    (i < test ? split.test : i < test + validation ? split.validation : split.train).push_back(members[i]);
}

/// The same with folds; `first` is the fold of the first member, so that folds stay even over the classes.
void deal_folds(std::span<const std::size_t> members, std::size_t first, const SplitOptions& options, Split& split) {
  const auto folds = static_cast<std::size_t>(options.folds);
  const auto test = static_cast<std::size_t>(options.fold);
  const std::size_t validation = (test + 1) % folds;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::size_t fold = (first + i) % folds;
    (fold == test ? split.test : fold == validation ? split.validation : split.train).push_back(members[i]);
  }
}

}  // namespace

Split split_subjects(const Cohort& cohort, const SplitOptions& options) {
  FaultList faults;
  check(options, faults);
  faults.throw_if_any();
  std::vector<std::vector<std::size_t>> by_class(cohort.task.classes.size());
  for (std::size_t i = 0; i < cohort.subjects.size(); ++i) {
    GABRA_CHECK(cohort.subjects[i].label >= 0, "a cohort without takes_everybody");
    by_class[static_cast<std::size_t>(cohort.subjects[i].label)].push_back(i);
  }
  const std::size_t parts = options.folds != 0
                                ? static_cast<std::size_t>(options.folds)
                                : std::size_t{1} + (options.validation > 0.0 ? 1 : 0) + (options.test > 0.0 ? 1 : 0);
  for (std::size_t c = 0; c < by_class.size(); ++c)
    if (by_class[c].size() < parts)
      faults.add(cohort.directory,
                 fmt::format("{} subject{} of class {}", by_class[c].size(), by_class[c].size() == 1 ? "" : "s",
                             in_quotes(cohort.task.classes[c])),
                 fmt::format("at least {}, one for each part of the split", parts));
  faults.throw_if_any();
  Split split;
  std::size_t dealt = 0;
  for (std::size_t c = 0; c < by_class.size(); ++c) {
    Rng rng = Rng::substream(options.seed, kSplitStream, c);
    rng.shuffle(std::span(by_class[c]));
    if (options.folds != 0)
      deal_folds(by_class[c], dealt, options, split);
    else
      deal_fractions(by_class[c], options, split);
    dealt += by_class[c].size();
  }
  for (auto* part : {&split.train, &split.validation, &split.test}) std::sort(part->begin(), part->end());
  return split;
}

std::vector<double> class_weights(std::span<const Sample> samples, std::size_t classes) {
  std::vector<double> counts(classes, 0.0);
  for (const Sample& sample : samples) {
    GABRA_CHECK(sample.label >= 0, "a sample of a known class");
    counts[static_cast<std::size_t>(sample.label)] += 1.0;
  }
  std::vector<double> weights(classes, 0.0);
  const double total = static_cast<double>(samples.size()) / static_cast<double>(classes);
  for (std::size_t c = 0; c < classes; ++c)
    if (counts[c] > 0.0) weights[c] = total / counts[c];
  return weights;
}

}  // namespace gabra::data
