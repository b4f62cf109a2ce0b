// SPDX-License-Identifier: MIT
#include "gabra/plan/plan.hpp"

#include "gabra/core/error.hpp"
#include "support/toy_problem.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

using test::stage;

Problem four_units_on_four_devices() { return test::toy_problem(test::equal_layers(4), {.devices = 4}, 8); }

TEST(FindFaults, AcceptsAPlanThatCoversAllUnits) {
  const Plan plan{.micro_batches = 4, .stages = {stage(0, 2, {0, 1}), stage(2, 4, {2})}};
  EXPECT_TRUE(find_faults(four_units_on_four_devices(), plan).empty());
}

TEST(FindFaults, NamesEveryFaultWithItsPlace) {
  // 3 does not divide 8; unit 1 is missing; unit 5 does not exist; device 9 does not exist; device 0 comes twice.
  const Plan plan{.micro_batches = 3, .bucket = Bytes(0), .stages = {stage(0, 1, {0, 0}), stage(2, 6, {9})}};
  const auto faults = find_plan_faults(four_units_on_four_devices(), plan);
  std::vector<std::string> places;
  for (const Fault& fault : faults) places.push_back(fault.where);
  EXPECT_EQ(places, (std::vector<std::string>{"micro_batches", "bucket", "stages[0].devices[1]", "stages[1].first_unit",
                                              "stages[1].last_unit", "stages[1].devices[0]"}));
}

TEST(FindFaults, WantsOneMicroBatchPerReplicaAndAllUnits) {
  const Plan plan{.micro_batches = 2, .stages = {stage(0, 3, {0, 1, 2})}};
  const auto faults = find_plan_faults(four_units_on_four_devices(), plan);
  ASSERT_EQ(faults.size(), 2U);
  EXPECT_EQ(faults[0].seen, "3 replicas for 2 micro-batches");
  EXPECT_EQ(faults[1].where, "stages[0].last_unit");
}

TEST(FindFaults, RefusesEmptyStages) {
  EXPECT_EQ(find_faults(four_units_on_four_devices(), Plan{}).size(), 1U);
  const Plan backwards{.stages = {stage(2, 1, {})}};
  EXPECT_FALSE(find_faults(four_units_on_four_devices(), backwards).empty());
}

TEST(ParseStages, ReadsUnitsDevicesAndRecomputation) {
  const Problem problem = four_units_on_four_devices();
  const auto stages = parse_stages(" 0-1@0,d1  2@2/always 3@d3/except_last", *problem.network, *problem.cluster);
  const std::vector<Stage> expected{stage(0, 2, {0, 1}), stage(2, 3, {2}, Recompute::Always),
                                    stage(3, 4, {3}, Recompute::ExceptLast)};
  EXPECT_EQ(stages, expected);
  EXPECT_EQ(to_text(stages), "0-1@0,1 2@2/always 3@3/except_last");
}

TEST(ParseStages, ReportsEveryFault) {
  const Problem problem = four_units_on_four_devices();
  try {
    (void)parse_stages("0-9@0 1@7 x@0 2 3@", *problem.network, *problem.cluster);
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_EQ(error.faults().size(), 5U) << error.what();
    for (const Fault& fault : error.faults()) EXPECT_EQ(fault.where, "--stages");
  }
  for (const char* text : {"", "  ", "@", "0-@0", "-1@0", "3-1@0", "0@0,", "0@99999999999999999999"})
    EXPECT_THROW((void)parse_stages(text, *problem.network, *problem.cluster), InputError) << text;
}

}  // namespace
}  // namespace gabra
