// SPDX-License-Identifier: MIT
#include "gabra/network/zoo.hpp"

#include "zoo_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace gabra {
namespace {

using Maker = std::function<std::vector<LayerSpec>(ZooOptions&)>;

struct Recipe {
  ZooEntry entry;
  Maker make;
};

std::vector<ZooOption> image_options(std::string input, std::string classes) {
  return {{"classes", std::move(classes), "outputs of the last linear layer"},
          {"input", std::move(input), "shape of one image, channels first"},
          {"width", "64", "channels of the first convolution; all others are scaled with it"}};
}

Recipe residual(std::string name, std::string summary, const ResidualDesign& design) {
  const bool is_volume = design.spatial_dimensions == 3;
  ZooEntry entry{std::move(name), std::move(summary),
                 is_volume ? image_options("1x96x112x96", "2") : image_options("3x224x224", "1000")};
  return {std::move(entry), [design](ZooOptions& options) { return residual_layers(options, design); }};
}

Recipe plain(std::string name, std::string summary, Maker make) {
  ZooEntry entry{std::move(name), std::move(summary), image_options("3x224x224", "1000")};
  entry.options.insert(entry.options.begin() + 1, {"dropout", "0.5", "share of features dropped"});
  return {std::move(entry), std::move(make)};
}

Recipe unet() {
  ZooEntry entry{"unet-3d", "3-D U-Net with long skip connections (our own layout)", {}};
  entry.options = {{"classes", "2", "classes of a voxel"},
                   {"depth", "3", "poolings on the way down"},
                   {"input", "1x96x112x96", "shape of one volume, channels first, multiples of 2^depth"},
                   {"width", "32", "channels of the first level; each further level doubles them"}};
  return {std::move(entry), unet_3d_layers};
}

Recipe gpt() {
  ZooEntry entry{"gpt", "GPT-2 (by default medium), with an output projection of its own", {}};
  entry.options = {{"dropout", "0.1", "share of features dropped after embedding, attention and MLP"},
                   {"heads", "16", "attention heads"},
                   {"hidden", "1024", "features of a token"},
                   {"layers", "24", "transformer blocks"},
                   {"sequence", "1024", "tokens of one sample"},
                   {"vocabulary", "50257", "different tokens"}};
  return {std::move(entry), gpt_layers};
}

std::vector<Recipe> make_recipes() {
  const std::vector<int> d18{2, 2, 2, 2}, d34{3, 4, 6, 3}, d101{3, 4, 23, 3};
  std::vector<Recipe> recipes{
      residual("3d-resattnet-18", "3D-ResAttNet: 3-D ResNet-18 with self-attention over positions (our own layout)",
               {d18, 3, false, true}),
      residual("3d-resattnet-34", "3D-ResAttNet: 3-D ResNet-34 with self-attention over positions (our own layout)",
               {d34, 3, false, true}),
      residual("3d-resnet-18", "3-D ResNet-18, basic blocks", {d18, 3, false, false}),
      residual("3d-resnet-34", "3-D ResNet-34, basic blocks", {d34, 3, false, false}),
      residual("resnet-18", "ResNet-18 as in torchvision", {d18, 2, false, false}),
      residual("resnet-50", "ResNet-50 as in torchvision, bottleneck blocks", {d34, 2, true, false}),
      plain("alexnet", "AlexNet as in torchvision", alexnet_layers),
      plain("vgg-16", "VGG-16 as in torchvision", vgg_16_layers),
      unet(),
      gpt(),
      residual("resnet-101", "ResNet-101 as in torchvision, bottleneck blocks", {d101, 2, true, false}),
  };
  std::sort(recipes.begin(), recipes.end(),
            [](const Recipe& a, const Recipe& b) { return a.entry.name < b.entry.name; });
  return recipes;
}

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> kRecipes = make_recipes();
  return kRecipes;
}

/// A network that cannot be built from values that are right one by one: says which option is to blame, that is, which
/// one taken back to its fallback makes it right.
[[noreturn]] void blame_option(const Recipe& recipe, const ZooOptions& options, const InputError& error) {
  std::string blamed = fmt::format("{}", fmt::join(options.given(), ", "));
  for (const std::string& suspect : options.given()) {
    std::string text = recipe.entry.name;
    for (const std::string& other : options.given())
      if (other != suspect)
        text += fmt::format("{}{}={}", text == recipe.entry.name ? ":" : ",", other, options.value(other));
    try {
      FaultList faults;
      ZooOptions fewer(recipe.entry, text, faults);
      (void)Network::build(recipe.entry.name, recipe.make(fewer), text);
      blamed = suspect;
      break;
    } catch (const InputError&) {
      continue;
    }
  }
  const Fault& first = error.faults().front();
  throw_input_error(options.place(blamed), fmt::format("{} ({})", first.seen, first.where), first.allowed);
}

}  // namespace

const std::vector<ZooEntry>& network_zoo() {
  static const std::vector<ZooEntry> kEntries = [] {
    std::vector<ZooEntry> entries;
    for (const Recipe& recipe : recipes()) entries.push_back(recipe.entry);
    return entries;
  }();
  return kEntries;
}

Network make_zoo_network(std::string_view text) {
  const std::string_view name = text.substr(0, text.find(':'));
  const auto recipe = std::find_if(recipes().begin(), recipes().end(),
                                   [&](const Recipe& candidate) { return candidate.entry.name == name; });
  if (recipe == recipes().end()) {
    std::vector<std::string> known;
    for (const ZooEntry& entry : network_zoo()) known.push_back(entry.name);
    throw_input_error(in_quotes(text), "the unknown network " + in_quotes(name) + did_you_mean(name, known),
                      fmt::format("one of {}", fmt::join(known, ", ")));
  }
  FaultList faults;
  ZooOptions options(recipe->entry, text, faults);
  std::vector<LayerSpec> layers = recipe->make(options);
  faults.throw_if_any();
  try {
    return Network::build(std::string(text), std::move(layers), std::string(text));
  } catch (const InputError& error) {
    blame_option(*recipe, options, error);
  }
}

}  // namespace gabra
