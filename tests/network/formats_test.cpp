// SPDX-License-Identifier: MIT
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/profile.hpp"
#include "make_network.hpp"

#include <gtest/gtest.h>

namespace gabra {
namespace {

/// The first ```json block below a heading of docs/formats.md.
std::string example(const std::string& heading) {
  const std::string text = read_file(GABRA_SOURCE_DIR "/docs/formats.md");
  const std::size_t section = text.find("\n## " + heading + "\n");
  const std::size_t open = text.find("```json\n", section);
  const std::size_t close = text.find("\n```", open);
  if (section == std::string::npos || open == std::string::npos || close == std::string::npos) return "";
  return text.substr(open + 8, close - open - 8);
}

TEST(Formats, NetworkExampleReads) {
  const Network network = parse_network(example("gabra/network/1"), "example");
  EXPECT_EQ(test::unit_names(network), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(test::layer(network, "b.add").output, (Shape{8, 16, 16, 16}));
}

TEST(Formats, ProfileExampleReads) {
  const Profile profile = parse_profile(example("gabra/profile/1"), "example");
  ASSERT_EQ(profile.samples().size(), 1U);
  EXPECT_DOUBLE_EQ(profile.at("V100-SXM2-32GB", "a.conv", 4)->backward.value(), 880e-6);
}

}  // namespace
}  // namespace gabra
