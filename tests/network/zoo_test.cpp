// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gabra {
namespace {

std::vector<std::string> unit_names(const Network& network) {
  std::vector<std::string> names;
  for (const Unit& unit : network.units()) names.push_back(unit.name);
  return names;
}

// The same networks built in PyTorch and torchvision have these numbers of trainable parameters. For resnet-101 see the
// table at https://pytorch.org/vision/stable/models.html; the 3D-ResAttNets were counted with torch.nn modules.
TEST(Zoo, ParameterCountsEqualPyTorchs) {
  EXPECT_EQ(make_zoo_network("3d-resattnet-18").parameters(), 33'592'229);
  EXPECT_EQ(make_zoo_network("3d-resattnet-34").parameters(), 63'901'861);
  EXPECT_EQ(make_zoo_network("resnet-18").parameters(), 11'689'512);
  EXPECT_EQ(make_zoo_network("resnet-50").parameters(), 25'557'032);
  EXPECT_EQ(make_zoo_network("resnet-101").parameters(), 44'549'160);
}

TEST(Zoo, Resattnet34HasAUnitForEachBlock) {
  const std::vector<std::string> expected{"stem", "s1b1",  "s1b2", "s1b3", "s2b1", "s2b2",  "s2b3",
                                          "s2b4", "attn2", "s3b1", "s3b2", "s3b3", "s3b4",  "s3b5",
                                          "s3b6", "attn3", "s4b1", "s4b2", "s4b3", "attn4", "head"};
  EXPECT_EQ(unit_names(make_zoo_network("3d-resattnet-34")), expected);
}

}  // namespace
}  // namespace gabra
