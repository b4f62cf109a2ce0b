// SPDX-License-Identifier: MIT
#include "support/random_cases.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/network/zoo.hpp"

#include <algorithm>
#include <set>
#include <span>

namespace gabra::exec {
namespace {

constexpr int kRanks = 4;

LayerSpec convolution(const std::string& name, std::int64_t channels, std::int64_t stride, const std::string& input) {
  Convolution conv;
  conv.out_channels = channels;
  conv.kernel = {3, 3, 3};
  conv.stride = {stride, stride, stride};
  conv.padding = {1, 1, 1};
  conv.dilation = {1, 1, 1};
  conv.bias = false;  // before batch norm: its true gradient is zero
  return {name, conv, {input}};
}

/// Convolutions with batch norm, a shortcut over two of them, and dropout of feature maps and of features.
Network dropout_network() {
  std::vector<LayerSpec> layers{{"input", Input{{1, 8, 8, 8}, false}, {}}};
  std::string x = "input";
  for (const int i : {1, 2, 3, 4}) {
    const std::string name = "block" + std::to_string(i);
    layers.push_back(convolution(name + ".conv", i == 1 ? 4 : 8, i == 2 ? 2 : 1, x));
    layers.push_back({name + ".bn", BatchNorm{}, {name + ".conv"}});
    layers.push_back({name + ".relu", Relu{}, {name + ".bn"}});
    layers.push_back({name + ".dropout", Dropout{0.2}, {name + ".relu"}});
    x = name + ".dropout";
  }
  layers.push_back({"add", Add{}, {"block2.dropout", "block4.dropout"}});
  layers.push_back({"pool", AdaptiveAveragePool{{1, 1, 1}}, {"add"}});
  layers.push_back({"flatten", Flatten{}, {"pool"}});
  layers.push_back({"hidden", Linear{16, true}, {"flatten"}});
  layers.push_back({"hidden.dropout", Dropout{0.5}, {"hidden"}});
  layers.push_back({"head", Linear{2, true}, {"hidden.dropout"}});
  return Network::build("3d-dropout", std::move(layers), "3d-dropout",
                        std::vector<std::string>{"block1.dropout", "block2.dropout", "block3.dropout", "block4.dropout",
                                                 "add", "hidden.dropout", "head"});
}

SmallProblem make_problem(std::string name, std::shared_ptr<const Network> network, std::int64_t micro_batches) {
  SmallProblem result{std::move(name), {}, micro_batches, true};
  result.problem.network = std::move(network);
  result.problem.cluster = std::make_shared<const Cluster>(make_preset_cluster("workstation-cpu:gpus=4"));
  result.problem.training.global_batch = 2 * micro_batches;
  return result;
}

std::vector<std::int32_t> random_cuts(Rng& rng, std::int32_t units, std::int64_t stages) {
  std::vector<std::int32_t> all;
  for (std::int32_t u = 1; u < units; ++u) all.push_back(u);
  rng.shuffle(std::span<std::int32_t>(all));
  all.resize(static_cast<std::size_t>(stages - 1));
  std::sort(all.begin(), all.end());
  all.push_back(units);
  return all;
}

Plan random_plan(const SmallProblem& small, Rng& rng) {
  Plan plan;
  const auto units = static_cast<std::int32_t>(small.problem.network->unit_count());
  plan.micro_batches = small.micro_batches;
  plan.schedule = static_cast<Schedule>(rng.below(3));
  plan.bucket = Bytes(rng.between(1, 60000));
  const std::int64_t stages = rng.chance(0.25) ? 1 : rng.between(2, std::min<std::int64_t>(units, 5));
  const std::int64_t ranks = rng.between(1, kRanks);
  std::int32_t first = 0;
  for (const std::int32_t end : random_cuts(rng, units, stages)) {
    Stage stage{first, end, {}, static_cast<Recompute>(rng.below(3))};
    std::vector<std::int32_t> devices;
    for (std::int32_t d = 0; d < ranks; ++d) devices.push_back(d);
    rng.shuffle(std::span<std::int32_t>(devices));
    const std::int64_t most = std::min(ranks, plan.micro_batches);
    devices.resize(static_cast<std::size_t>(rng.chance(0.4) ? 1 : rng.between(1, most)));
    for (const std::int32_t device : devices) stage.devices.emplace_back(device);
    plan.stages.push_back(std::move(stage));
    first = end;
  }
  return plan;
}

/// Whether some tensor goes from a stage to one that is not the next.
bool has_skip(const Network& network, const Plan& plan) {
  const auto stage_of = [&](UnitId unit) {
    std::size_t s = 0;
    while (unit.value() >= plan.stages[s].end_unit) ++s;
    return s;
  };
  for (const UnitTensor& tensor : network.unit_tensors())
    for (const UnitId consumer : tensor.consumers)
      if (stage_of(consumer) > stage_of(tensor.producer) + 1) return true;
  return false;
}

/// Bytes of gradients in `stage` above two buckets' worth, unit by unit.
bool has_several_buckets(const Network& network, const Stage& stage, Bytes bucket) {
  std::int64_t open = 0;
  int buckets = 0;
  for (std::int32_t u = stage.first_unit; u < stage.end_unit; ++u) {
    open += 4 * network.unit_costs()[static_cast<std::size_t>(u)].parameters;
    if (open > 0 && open >= bucket.value()) {
      ++buckets;
      open = 0;
    }
  }
  return stage.devices.size() > 1 && buckets >= 2;
}

std::set<std::string> features_of(const SmallProblem& small, const Plan& plan) {
  std::set<std::string> features;
  const Network& network = *small.problem.network;
  if (plan.stages.size() == 1 && plan.stages.front().devices.size() > 1) features.insert("data parallel");
  if (plan.stages.size() > 1) features.insert(std::string(to_text(plan.schedule)));
  std::map<DeviceId, std::vector<std::size_t>> stages_of;
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage& stage = plan.stages[s];
    if (s > 0 && stage.devices.size() != plan.stages[s - 1].devices.size()) features.insert("uneven replicas");
    if (stage.recompute == Recompute::Always) features.insert("recompute always");
    if (stage.recompute == Recompute::ExceptLast) features.insert("recompute except_last");
    if (has_several_buckets(network, stage, plan.bucket)) features.insert("several buckets");
    for (const DeviceId device : stage.devices) stages_of[device].push_back(s);
  }
  for (const auto& [device, stages] : stages_of) {
    if (stages.size() > 1) features.insert("several stages on a rank");
    if (stages.size() > 1 && stages.back() - stages.front() >= stages.size()) features.insert("stages out of order");
  }
  if (has_skip(network, plan)) features.insert("skip over a stage");
  if (small.problem.training.clip_norm) features.insert("clipping");
  if (small.name.find("dropout") != std::string::npos) features.insert("dropout");
  if (small.problem.training.optimizer == Optimizer::AdamW) features.insert("adamw");
  features.insert(small.is_float64 ? "float64" : "float32");
  return features;
}

}  // namespace

std::vector<SmallProblem> make_small_problems() {
  const auto zoo = [](const char* text) { return std::make_shared<const Network>(make_zoo_network(text)); };
  const auto resattnet = zoo("3d-resattnet-18:width=8,input=1x33x33x33");
  const auto unet = zoo("unet-3d:width=4,depth=2,input=1x8x8x8");
  const auto dropout = std::make_shared<const Network>(dropout_network());
  const auto gpt = zoo("gpt:layers=2,hidden=16,heads=4,sequence=8,vocabulary=11,dropout=0.2");
  std::vector<SmallProblem> problems{make_problem("resattnet", resattnet, 4),
                                     make_problem("resattnet float32", resattnet, 3),
                                     make_problem("unet", unet, 6),
                                     make_problem("unet clipped", unet, 4),
                                     make_problem("unet float32 clipped", unet, 5),
                                     make_problem("3d-dropout", dropout, 5),
                                     make_problem("3d-dropout adamw", dropout, 4),
                                     make_problem("gpt-dropout adamw clipped", gpt, 4)};
  for (SmallProblem& small : problems) {
    const auto is = [&](const char* word) { return small.name.find(word) != std::string::npos; };
    small.is_float64 = !is("float32");
    if (is("clipped")) small.problem.training.clip_norm = 0.5;
    if (is("adamw")) small.problem.training.optimizer = Optimizer::AdamW;
  }
  return problems;
}

std::vector<RandomCase> make_random_cases(const std::vector<SmallProblem>& problems, std::uint64_t seed,
                                          std::size_t count) {
  std::vector<RandomCase> cases;
  for (std::size_t i = 0; i < count; ++i) {
    Rng rng = Rng::substream(seed, i);
    RandomCase one;
    one.problem = i % problems.size();
    one.plan = random_plan(problems[one.problem], rng);
    const std::set<std::string> features = features_of(problems[one.problem], one.plan);
    one.features.assign(features.begin(), features.end());
    cases.push_back(std::move(one));
  }
  return cases;
}

std::map<std::string, int> count_features(const std::vector<RandomCase>& cases) {
  std::map<std::string, int> counts;
  for (const char* name :
       {"data parallel", "sequential", "gpipe", "1f1b", "uneven replicas", "several stages on a rank",
        "stages out of order", "skip over a stage", "recompute always", "recompute except_last", "several buckets",
        "clipping", "dropout", "adamw", "float64", "float32"})
    counts[name] = 0;
  for (const RandomCase& one : cases)
    for (const std::string& feature : one.features) ++counts[feature];
  return counts;
}

std::string describe_case(const std::vector<SmallProblem>& problems, const RandomCase& one) {
  return problems[one.problem].name + " " + std::string(to_text(one.plan.schedule)) +
         " M=" + std::to_string(one.plan.micro_batches) + " bucket " + std::to_string(one.plan.bucket.value()) + " " +
         to_text(one.plan.stages);
}

}  // namespace gabra::exec
