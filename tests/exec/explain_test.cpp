// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/network/zoo.hpp"
#include "heat_map.hpp"
#include "picture.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace gabra::exec {
namespace {

Network classifier() {
  return Network::build("classifier",
                        {{"input", Input{{1, 5, 6, 7}, false}, {}},
                         {"conv", Convolution{3, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 1, true}, {"input"}},
                         {"relu", Relu{}, {"conv"}},
                         {"pool", AdaptiveAveragePool{{1, 1, 1}}, {"relu"}},
                         {"flatten", Flatten{}, {"pool"}},
                         {"linear", Linear{2, true}, {"flatten"}}},
                        "test");
}

TEST(GradCam, AgreesWithItsClosedForm) {
  at::manual_seed(3);
  const at::Tensor kernel = at::randn({3, 1, 3, 3, 3});
  const at::Tensor bias = at::randn({3});
  const at::Tensor weight = at::randn({2, 3});
  const std::vector<NamedTensor> weights{
      {"conv.weight", kernel}, {"conv.bias", bias}, {"linear.weight", weight}, {"linear.bias", at::randn({2})}};
  const at::Tensor input = at::randn({1, 1, 5, 6, 7});
  for (const std::int64_t wanted : {0, 1}) {
    const HeatMap found = grad_cam(classifier(), weights, input, {wanted, {}}, "test");
    EXPECT_EQ(found.layer, "relu");
    EXPECT_EQ(found.class_index, wanted);
    // A score is sum_k W[c, k] mean(A_k) + b, so its gradient by A_k is W[c, k] / N at every position.
    const at::Tensor maps =
        at::relu(at::conv3d(input, kernel, bias, at::IntArrayRef{1, 1, 1}, at::IntArrayRef{1, 1, 1}));
    const at::Tensor slope = weight[wanted].view({3, 1, 1, 1}) / (5.0 * 6.0 * 7.0);
    EXPECT_TRUE(at::allclose(found.heat, at::relu((slope * maps[0]).sum(0)), 1e-4, 1e-7));
  }
  const HeatMap best = grad_cam(classifier(), weights, input, {}, "test");
  EXPECT_EQ(best.class_index, best.probabilities.argmax().item<std::int64_t>());
  EXPECT_NEAR(best.probabilities.sum().item<double>(), 1.0, 1e-6);
}

TEST(GradCam, TheFeatureMapOfResAttNetIsItsLastAttention) {
  const Network network = make_zoo_network("3d-resattnet-18:width=8,input=1x32x32x32");
  std::vector<NamedTensor> weights;
  at::manual_seed(4);
  for (const StateEntry& entry : model_state(network)) weights.push_back({entry.name, at::rand(entry.shape)});
  const HeatMap found = grad_cam(network, weights, at::randn({1, 1, 32, 32, 32}), {1, {}}, "test");
  EXPECT_EQ(found.layer, "attn4");
  EXPECT_EQ(found.heat.sizes(), (std::vector<std::int64_t>{1, 1, 1}));
  // An earlier map is finer; inside a block two ways lead on, and no one map has all.
  const HeatMap finer = grad_cam(network, weights, at::randn({1, 1, 32, 32, 32}), {1, "attn2"}, "test");
  EXPECT_EQ(finer.layer, "attn2");
  EXPECT_EQ(finer.heat.sizes(), (std::vector<std::int64_t>{4, 4, 4}));
  EXPECT_THROW((void)grad_cam(network, weights, at::randn({1, 1, 32, 32, 32}), {1, "s1b1.conv1"}, "test"), InputError);
}

TEST(GradCam, ANetworkWithoutAHeadIsAnError) {
  const Network network = make_zoo_network("gpt:layers=1,hidden=16,heads=2,sequence=8,vocabulary=50");
  EXPECT_THROW((void)grad_cam(network, {}, at::zeros({1, 8}), {0, {}}, "test"), InputError);
}

TEST(Picture, ThreeSlicesThroughTheHottestVoxel) {
  data::Volume scan{{4, 8, 16}, data::identity_affine(), std::vector<float>(512, 0.0F)};
  data::Volume heat = scan;
  heat.voxels[(std::size_t{1} * 8 + 5) * 16 + 3] = 1.0F;  // voxel (1, 5, 3)
  const Picture picture = draw_slices(scan, heat);
  // 16 pixels a voxel: panels of 8, 4 and 4 voxels across, 4 pixels apart; 256 high.
  EXPECT_EQ(picture.width, 16 * (8 + 4 + 4) + 2 * 4);
  EXPECT_EQ(picture.height, 256);
  const auto red = [&](std::int64_t x, std::int64_t y) {
    return picture.pixels[static_cast<std::size_t>(3 * (y * picture.width + x))];
  };
  // Sagittal: voxel y 5 across, z 3 from below.
  EXPECT_GT(red(16 * 5 + 8, 255 - (16 * 3 + 8)), 150);
  EXPECT_EQ(red(16 * 4 + 8, 255 - (16 * 3 + 8)), 0);
  // Coronal: voxel x 1 across.
  EXPECT_GT(red(16 * 8 + 4 + 16 * 1 + 8, 255 - (16 * 3 + 8)), 150);
  // Axial: the panel of 8 voxels up stands in the middle of the height.
  EXPECT_GT(red(16 * 12 + 8 + 16 * 1 + 8, 64 + 127 - (16 * 5 + 8)), 150);
  EXPECT_TRUE(to_png(picture).starts_with("\x89PNG"));
}

TEST(Picture, HeatInTheAirIsLeftOut) {
  data::Volume scan{{4, 4, 4}, data::identity_affine(), std::vector<float>(64, 0.0F)};
  scan.voxels[21] = scan.voxels[22] = 100.0F;  // voxels (1, 1, 1) and (1, 1, 2) are the head
  data::Volume heat = scan;
  heat.voxels.assign(64, 1.0F);
  heat.voxels[21] = heat.voxels[22] = 0.5F;
  const Picture picture = draw_slices(scan, heat);
  std::size_t coloured = 0;
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
    if (picture.pixels[i] != picture.pixels[i + 2]) ++coloured;
  EXPECT_EQ(coloured, std::size_t{5} * 64 * 64);  // 2, 2 and 1 voxels of 64 by 64 pixels on the three slices
}

}  // namespace
}  // namespace gabra::exec
