// SPDX-License-Identifier: MIT
#include "gabra/network/profile.hpp"

#include "make_network.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

using test::contains;
using test::message_of;

Profile example() {
  Profile profile;
  profile.add("v100", "a",
              {{1, Seconds(1.0), Seconds(10.0)}, {3, Seconds(2.0), Seconds(30.0)}, {7, Seconds(4.0), Seconds(60.0)}});
  profile.add("v100", "b", {{2, Seconds(1.0), Seconds(2.0)}});
  return profile;
}

TEST(Profile, MeasuredSizesComeBack) {
  const auto sample = example().at("v100", "a", 3);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->forward.value(), 2.0);
  EXPECT_EQ(sample->backward.value(), 30.0);
}

// Between 3 and 7: at 5, halfway from 2 to 4 and from 30 to 60.
TEST(Profile, InterpolatesLinearly) {
  EXPECT_DOUBLE_EQ(example().at("v100", "a", 2)->forward.value(), 1.5);
  EXPECT_DOUBLE_EQ(example().at("v100", "a", 5)->forward.value(), 3.0);
  EXPECT_DOUBLE_EQ(example().at("v100", "a", 5)->backward.value(), 45.0);
  EXPECT_FALSE(example().at("v100", "a", 5)->micro_batch != 5);
}

// Beyond 7 on the line through 3 and 7: forward 2 + (11 - 3) / 2 = 6, backward 30 + 8 * 7.5 = 90.
TEST(Profile, ExtrapolatesUpwards) {
  EXPECT_DOUBLE_EQ(example().at("v100", "a", 11)->forward.value(), 6.0);
  EXPECT_DOUBLE_EQ(example().at("v100", "a", 11)->backward.value(), 90.0);
}

TEST(Profile, ExtrapolatesDownwardsNeverBelowZero) {
  Profile profile;
  // Through (4, 3) and (8, 5): 1 + x/2, at 2: 2. Through (4, 1) and (8, 6): meets the axis at 3.2, so 1 * 2/4 at 2.
  profile.add("k", "a", {{4, Seconds(3.0), Seconds(1.0)}, {8, Seconds(5.0), Seconds(6.0)}});
  EXPECT_DOUBLE_EQ(profile.at("k", "a", 2)->forward.value(), 2.0);
  EXPECT_DOUBLE_EQ(profile.at("k", "a", 2)->backward.value(), 0.5);
}

TEST(Profile, ALargerSizeIsNotPredictedFaster) {
  Profile profile;
  profile.add("k", "a", {{4, Seconds(3.0), Seconds(1.0)}, {8, Seconds(2.0), Seconds(1.0)}});
  EXPECT_DOUBLE_EQ(profile.at("k", "a", 100)->forward.value(), 2.0);
}

TEST(Profile, OneSampleScalesInProportion) {
  EXPECT_DOUBLE_EQ(example().at("v100", "b", 6)->forward.value(), 3.0);
  EXPECT_DOUBLE_EQ(example().at("v100", "b", 1)->backward.value(), 1.0);
}

TEST(Profile, SaysWhenItExtrapolates) {
  Profile profile;
  EXPECT_FALSE(profile.is_extrapolated(5));
  EXPECT_TRUE(profile.empty());
  profile.add("k", "a", {{2, Seconds(1.0), Seconds(1.0)}, {8, Seconds(2.0), Seconds(1.0)}});
  EXPECT_TRUE(profile.is_extrapolated(1));
  EXPECT_FALSE(profile.is_extrapolated(2));
  EXPECT_FALSE(profile.is_extrapolated(8));
  EXPECT_TRUE(profile.is_extrapolated(9));
  EXPECT_FALSE(profile.empty());
}

TEST(Profile, KnowsOnlyWhatWasMeasured) {
  EXPECT_FALSE(example().at("a100", "a", 1));
  EXPECT_FALSE(example().at("v100", "c", 1));
}

TEST(Profile, ReadsBackIdentically) {
  Profile profile = example();
  profile.add("a\"100", "layer\n", {{1, Seconds(0.1 / 3), Seconds(1e-9 / 7)}});
  profile.set_measured_with({"bfloat16", "wide"});
  const Profile again = parse_profile(to_json_text(profile), "p.json");
  EXPECT_EQ(again.measured_with(), (MeasuredWith{"bfloat16", "wide"}));
  EXPECT_FALSE(parse_profile(to_json_text(example()), "p.json").measured_with());
  EXPECT_EQ(to_json_text(again), to_json_text(profile));
  EXPECT_EQ(again.fingerprint(), profile.fingerprint());
  EXPECT_NE(again.fingerprint(), example().fingerprint());
}

TEST(ProfileFile, Faults) {
  const std::string head = R"({"schema": "gabra/profile/1", "device_kinds": [)";
  const std::string kind = R"({"name": "v", "layers": [{"name": "a", "samples": [)";
  const std::string one = R"({"micro_batch": 1, "forward": "1 ms", "backward": "2 ms"})";
  const struct {
    std::string text;
    const char* part;
  } cases[] = {
      {"", "p.json: line 1"},
      {"3", "saw the number 3"},
      {R"({"device_kinds": 3})", "$.device_kinds: saw the number 3"},
      {R"({"device_kinds": 3})", "$.schema"},
      {R"({"measured_with": {"precision": "float8", "gradient_sum": "plain"}, "device_kinds": 3})",
       "$.measured_with.precision: saw the text \"float8\""},
      {head + "]}", "$.device_kinds: saw an empty list"},
      {head + R"({"name": "v", "layers": []}]})", "$.device_kinds[0].layers: saw an empty list"},
      {head + kind + "]}]}]}", "$.device_kinds[0].layers[0].samples: saw an empty list"},
      {head + kind + one + "," + one + "]}]}]}", "samples out of order"},
      {head + kind + R"({"micro_batch": 0, "forward": "1 ms", "backward": "2 ms"}]}]}]})", "samples[0].micro_batch"},
      {head + kind + R"({"micro_batch": 1, "forward": 1, "backward": "-2 ms"}]}]}]})", "samples[0].forward"},
      {head + kind + R"({"micro_batch": 1, "forward": 1, "backward": "-2 ms"}]}]}]})", "samples[0].backward"},
      {head + kind + R"({"micro_batch": 1, "forward": "1 ms"}]}]}]})", "samples[0].backward: saw no such field"},
      {head + kind + one + R"(]}, {"name": "a", "samples": [)" + one + "]}]}]}", "the layer \"a\" again"},
      {head + kind + one + "]}]}," + kind + one + "]}]}]}", "the kind \"v\" again"},
      {head + kind + one + R"(], "x": 1}]}]})", "layers[0].x: saw an unknown field"},
  };
  for (const auto& each : cases) {
    const std::string message = message_of([&] { return parse_profile(each.text, "p.json"); });
    EXPECT_TRUE(contains(message, each.part)) << each.text << "\n" << message;
  }
}

}  // namespace
}  // namespace gabra
