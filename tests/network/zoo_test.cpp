// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"

#include "gabra/core/error.hpp"
#include "gabra/network/network_file.hpp"

#include "make_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gabra {
namespace {

using test::unit_names;
using Names = std::vector<std::string>;

// The same networks in PyTorch (3D-ResAttNet) and torchvision have these numbers of trainable parameters.
TEST(Zoo, ParameterCountsEqualPyTorchs) {
  EXPECT_EQ(make_zoo_network("3d-resattnet-18").parameters(), 33'592'229);
  EXPECT_EQ(make_zoo_network("3d-resattnet-34").parameters(), 63'901'861);
  EXPECT_EQ(make_zoo_network("resnet-18").parameters(), 11'689'512);
  EXPECT_EQ(make_zoo_network("resnet-50").parameters(), 25'557'032);
  EXPECT_EQ(make_zoo_network("resnet-101").parameters(), 44'549'160);
  EXPECT_EQ(make_zoo_network("vgg-16").parameters(), 138'357'544);
  EXPECT_EQ(make_zoo_network("alexnet").parameters(), 61'100'840);
}

// An attention block over C channels has 2 (C C/8 + C/8) + C C + C + 1 = 5/4 C^2 + 5/4 C + 1 parameters: 20641 for
// C = 128, 82241 for 256, 328321 for 512, together 431203.
TEST(Zoo, ResattnetIsResnetAndThreeAttentionBlocks) {
  EXPECT_EQ(make_zoo_network("3d-resnet-18").parameters(), 33'592'229 - 431'203);
  EXPECT_EQ(make_zoo_network("3d-resnet-34").parameters(), 63'901'861 - 431'203);
}

// GPT-2 medium has 354,823,168 parameters with the output projection tied to the token embedding; ours is not tied and
// has 50257 x 1024 = 51,463,168 more.
TEST(Zoo, GptHasAnUntiedOutputProjection) { EXPECT_EQ(make_zoo_network("gpt").parameters(), 354'823'168 + 51'463'168); }

// w = 8, one pooling, one input channel, two classes. Convolutions of 27 weights and batch norms of two:
// down1: 27 (1*8 + 8*8) + 2*8*2 = 1976; bottom: 27 (8*16 + 16*16) + 2*16*2 = 10432; enlarge: 16*8*8 + 8 = 1032;
// up1: 27 (16*8 + 8*8) + 2*8*2 = 5216; head: 8*2 + 2 = 18. Together 18674.
TEST(Zoo, UnetParametersByHand) {
  EXPECT_EQ(make_zoo_network("unet-3d:depth=1,width=8,input=1x8x8x8").parameters(), 18'674);
}

TEST(Zoo, Resattnet34HasAUnitForEachBlock) {
  const Names expected{"stem", "s1b1", "s1b2", "s1b3", "s2b1",  "s2b2", "s2b3", "s2b4", "attn2", "s3b1", "s3b2",
                       "s3b3", "s3b4", "s3b5", "s3b6", "attn3", "s4b1", "s4b2", "s4b3", "attn4", "head"};
  EXPECT_EQ(unit_names(make_zoo_network("3d-resattnet-34")), expected);
}

TEST(Zoo, UnitsOfTheOtherNetworks) {
  const Names resnet{"stem", "s1b1", "s1b2", "s2b1", "s2b2", "s3b1", "s3b2", "s4b1", "s4b2", "head"};
  EXPECT_EQ(unit_names(make_zoo_network("resnet-18")), resnet);
  const Names vgg{"conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1",
                  "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "fc1",     "fc2",     "fc3"};
  EXPECT_EQ(unit_names(make_zoo_network("vgg-16")), vgg);
  const Names alexnet{"conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"};
  EXPECT_EQ(unit_names(make_zoo_network("alexnet")), alexnet);
  const Names gpt{"embedding", "block1.attention", "block1.mlp", "block2.attention", "block2.mlp", "head"};
  EXPECT_EQ(unit_names(make_zoo_network("gpt:layers=2")), gpt);
  const Names unet{"down1a", "down1b",      "down2a", "down2b", "down3a",      "down3b", "bottom", "up3a",
                   "up3b",   "up2.enlarge", "up2a",   "up2b",   "up1.enlarge", "up1a",   "up1b",   "head.conv"};
  EXPECT_EQ(unit_names(make_zoo_network("unet-3d")), unet);
}

TEST(Zoo, UnetSkipsCrossManyUnits) {
  const Network network = make_zoo_network("unet-3d");
  // down1b (unit 1) is read by down2a (unit 2) and, through the concatenation, by up1a (unit 13).
  const auto skip = std::find_if(network.unit_tensors().begin(), network.unit_tensors().end(),
                                 [](const UnitTensor& tensor) { return tensor.producer == UnitId(1); });
  ASSERT_NE(skip, network.unit_tensors().end());
  EXPECT_EQ(skip->consumers, (std::vector<UnitId>{UnitId(2), UnitId(13)}));
}

TEST(Zoo, OptionsChangeTheNetwork) {
  const Network network = make_zoo_network("3d-resattnet-18:width=16,input=1x64x64x64,classes=5");
  EXPECT_EQ(network.input_elements(), 64 * 64 * 64);
  EXPECT_EQ(network.layers().back().output, (Shape{5}));
  EXPECT_EQ(network.layer(LayerId(1)).output, (Shape{16, 32, 32, 32}));  // stem, stride 2
}

TEST(Zoo, EveryNetworkReadsBackIdentically) {
  for (const ZooEntry& entry : network_zoo()) {
    const Network network = make_zoo_network(entry.name);
    const std::string text = to_json_text(network);
    const Network again = parse_network(text, "again");
    EXPECT_EQ(to_json_text(again), text) << entry.name;
    EXPECT_EQ(again.fingerprint(), network.fingerprint()) << entry.name;
    EXPECT_EQ(again.unit_count(), network.unit_count()) << entry.name;
  }
}

TEST(Zoo, IsInAlphabeticalOrderWithFallbacksThatWork) {
  for (std::size_t i = 1; i < network_zoo().size(); ++i) EXPECT_LT(network_zoo()[i - 1].name, network_zoo()[i].name);
  for (const ZooEntry& entry : network_zoo()) {
    std::string text = entry.name + ":";
    for (const ZooOption& option : entry.options)
      text += (text.back() == ':' ? "" : ",") + option.name + "=" + option.fallback;
    EXPECT_EQ(make_zoo_network(text).fingerprint(), make_zoo_network(entry.name).fingerprint()) << text;
  }
}

/// What make_zoo_network() throws, or "" if it does not.
std::string message(const std::string& text) {
  try {
    (void)make_zoo_network(text);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Zoo, BadValuesNameTheirOption) {
  const struct {
    const char* text;
    const char* part;
  } cases[] = {
      {"3d-resattnet-18:width=0", "option width: saw \"0\""},
      {"3d-resattnet-18:width=20", "a multiple of 8"},
      {"3d-resattnet-18:width=99999999999999999999", "option width"},
      {"3d-resattnet-18:width=-8", "option width"},
      {"3d-resattnet-18:width=8.5", "option width"},
      {"3d-resattnet-18:width=", "option width"},
      {"resnet-18:input=3x224", "option input"},
      {"resnet-18:input=3x224x224x224", "option input"},
      {"resnet-18:input=3x0x224", "option input"},
      {"resnet-18:input=3x224xx", "option input"},
      {"resnet-18:input=", "option input"},
      {"vgg-16:width=8,input=3x8x8", "option input"},
      {"alexnet:input=3x16x16", "option input"},
      {"3d-resnet-18:input=1x65535x65535x65535,classes=3", "option input"},
      {"unet-3d:input=1x12x16x16", "multiples of 8"},
      {"gpt:hidden=100,heads=16", "option heads"},
      {"gpt:dropout=1", "option dropout"},
      {"gpt:sequence=1000000", "option sequence"},
      {"resnet-18:colour=red", "\"colour\""},
      {"resnet-18:with=3", "did you mean \"width\"?"},
      {"resnet-18:width", "OPTION=VALUE"},
      {"resnet-18:", "OPTION=VALUE"},
      {"resnet-18:width=8,width=16", "twice"},
      {"resnet-19", "did you mean \"resnet-18\"?"},
      {"", "unknown network"},
  };
  for (const auto& [text, part] : cases) EXPECT_TRUE(contains(message(text), part)) << text << ": " << message(text);
}

TEST(Zoo, AllBadValuesAreReportedAtOnce) {
  const std::string text = message("resnet-18:width=0,classes=x,input=7");
  for (const char* option : {"option width", "option classes", "option input"})
    EXPECT_TRUE(contains(text, option)) << text;
}

}  // namespace
}  // namespace gabra
