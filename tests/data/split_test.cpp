// SPDX-License-Identifier: MIT
#include "gabra/data/split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace gabra::data {
namespace {

Cohort cohort_of(std::size_t first_class, std::size_t second_class) {
  Cohort cohort{.directory = "somewhere", .task = {.name = "ad-nc", .classes = {"NC", "AD"}}};
  for (std::size_t i = 0; i < first_class + second_class; ++i)
    cohort.subjects.push_back({.id = "sub-" + std::to_string(1000 + i),
                               .label = i < first_class ? 0 : 1,
                               .scans = {{.session = "M00", .path = "a"}, {.session = "M12", .path = "b"}}});
  return cohort;
}

std::size_t count(const Cohort& cohort, const std::vector<std::size_t>& part, std::int64_t label) {
  return static_cast<std::size_t>(
      std::count_if(part.begin(), part.end(), [&](std::size_t i) { return cohort.subjects[i].label == label; }));
}

void expect_partition(const Cohort& cohort, const Split& split) {
  std::set<std::size_t> all;
  for (const auto* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
    for (const std::size_t i : *part) EXPECT_TRUE(all.insert(i).second) << "subject " << i << " is in two parts";
  }
  EXPECT_EQ(all.size(), cohort.subjects.size());
}

TEST(Split, StratifiedFractions) {
  const Cohort cohort = cohort_of(100, 40);
  const Split split = split_subjects(cohort, {.seed = 7, .validation = 0.1, .test = 0.25});
  expect_partition(cohort, split);
  EXPECT_EQ(count(cohort, split.test, 0), 25U);
  EXPECT_EQ(count(cohort, split.test, 1), 10U);
  EXPECT_EQ(count(cohort, split.validation, 0), 10U);
  EXPECT_EQ(count(cohort, split.validation, 1), 4U);
  EXPECT_EQ(split.train.size(), 140U - 35 - 14);
}

TEST(Split, SeedDecides) {
  const Cohort cohort = cohort_of(30, 30);
  const Split a = split_subjects(cohort, {.seed = 1});
  const Split b = split_subjects(cohort, {.seed = 1});
  const Split c = split_subjects(cohort, {.seed = 2});
  EXPECT_EQ(a.test, b.test);
  EXPECT_EQ(a.train, b.train);
  EXPECT_NE(a.test, c.test);
}

TEST(Split, EveryPartHasEveryClass) {
  for (std::size_t n = 3; n < 12; ++n)
    for (const double share : {0.01, 0.3, 0.49}) {
      const Cohort cohort = cohort_of(n, 50);
      const Split split = split_subjects(cohort, {.seed = n, .validation = share, .test = share});
      expect_partition(cohort, split);
      for (const auto* part : {&split.train, &split.validation, &split.test})
        EXPECT_GE(count(cohort, *part, 0), 1U) << n;
    }
}

TEST(Split, FoldsTestEverybodyOnce) {
  const Cohort cohort = cohort_of(23, 18);
  std::set<std::size_t> tested;
  for (std::int64_t fold = 0; fold < 5; ++fold) {
    const Split split = split_subjects(cohort, {.seed = 3, .folds = 5, .fold = fold});
    expect_partition(cohort, split);
    // 41 subjects: folds of 8 or 9; 23 = 4 or 5 a fold, 18 = 3 or 4.
    EXPECT_GE(split.test.size(), 8U);
    EXPECT_LE(split.test.size(), 9U);
    EXPECT_GE(count(cohort, split.test, 1), 3U);
    EXPECT_EQ(split.validation, split_subjects(cohort, {.seed = 3, .folds = 5, .fold = (fold + 1) % 5}).test);
    for (const std::size_t i : split.test) EXPECT_TRUE(tested.insert(i).second);
  }
  EXPECT_EQ(tested.size(), 41U);
}

TEST(Split, NoTestPart) {
  const Split split = split_subjects(cohort_of(2, 2), {.seed = 1, .validation = 0.5, .test = 0.0});
  EXPECT_TRUE(split.test.empty());
  EXPECT_EQ(split.validation.size(), 2U);
}

TEST(Split, Faults) {
  const Cohort cohort = cohort_of(10, 2);
  EXPECT_THROW((void)split_subjects(cohort, {}), InputError);  // two subjects cannot be in three parts
  const Cohort enough = cohort_of(10, 10);
  EXPECT_THROW((void)split_subjects(enough, {.validation = 0.5, .test = 0.5}), InputError);
  EXPECT_THROW((void)split_subjects(enough, {.validation = -0.1}), InputError);
  EXPECT_THROW((void)split_subjects(enough, {.folds = 2}), InputError);
  EXPECT_THROW((void)split_subjects(enough, {.folds = 5, .fold = 5}), InputError);
  EXPECT_THROW((void)split_subjects(enough, {.folds = 11}), InputError);
}

TEST(ClassWeights, InverseToSize) {
  // n / (K n_c): 4 / (2 x 3) and 4 / (2 x 1).
  std::vector<Sample> samples(4);
  samples[3].label = 1;
  EXPECT_EQ(class_weights(samples, 2), (std::vector<double>{4.0 / 6.0, 2.0}));
}

TEST(Samples, AllVisitsOfAPersonTogether) {
  const Cohort cohort = cohort_of(2, 1);
  const std::vector<std::size_t> people{2, 0};
  const std::vector<Sample> samples = samples_of(cohort, people);
  ASSERT_EQ(samples.size(), 4U);
  EXPECT_EQ(samples[0].subject, 2U);
  EXPECT_EQ(samples[1].subject, 2U);
  EXPECT_EQ(samples[1].path, "b");
  EXPECT_EQ(samples[0].label, 1);
  EXPECT_NE(samples[0].key, samples[1].key);
}

}  // namespace
}  // namespace gabra::data
