// SPDX-License-Identifier: MIT
#include "whole_network.hpp"

#include "gabra/core/error.hpp"

#include <ATen/ATen.h>

#include <map>

namespace gabra::exec {

WholeNetwork::WholeNetwork(std::shared_ptr<const Network> network, ModelOptions options)
    : network_(std::move(network)), device_(options.device) {
  StageOutline outline;
  outline.units = {0, static_cast<std::int32_t>(network_->unit_count())};
  outline.devices = {DeviceId(0)};
  options.only_outputs = true;
  module_ = std::make_unique<StageModule>(*network_, outline, Optimizer::SgdMomentum, options);
}

void load_module(StageModule& module, const std::vector<NamedTensor>& given, const std::string& place) {
  std::map<std::string, at::Tensor> by_name;
  for (const NamedTensor& named : given) by_name.emplace(named.name, named.tensor);
  FaultList faults;
  for (const auto& targets : {module.parameters(), module.buffers()})
    for (const NamedTensor& target : targets) {
      const auto found = by_name.find(target.name);
      if (found == by_name.end() || found->second.numel() != target.tensor.numel())
        faults.add(place, "no tensor " + in_quotes(target.name) + " of the right shape",
                   "a checkpoint of this network");
      else
        at::Tensor(target.tensor).copy_(found->second.view(target.tensor.sizes()));
    }
  faults.throw_if_any();
  module.parameters_changed();
}

void WholeNetwork::load(const std::vector<NamedTensor>& tensors, const std::string& place) {
  load_module(*module_, tensors, place);
}

std::vector<NamedTensor> WholeNetwork::state() {
  std::map<std::string, at::Tensor> by_name;
  for (const auto& tensors : {module_->parameters(), module_->buffers()})
    for (const NamedTensor& named : tensors) by_name.emplace(named.name, named.tensor);
  std::vector<NamedTensor> ordered;
  for (const StateEntry& entry : model_state(*network_)) ordered.push_back({entry.name, by_name.at(entry.name)});
  return ordered;
}

at::Tensor WholeNetwork::output(std::vector<at::Tensor> inputs) {
  constexpr std::int64_t kMicroBatch = 0;
  PassContext pass;
  pass.is_training = false;
  pass.updates_statistics = false;
  for (at::Tensor& input : inputs) input = input.to(device_);
  module_->put_network_input(kMicroBatch, std::move(inputs));
  module_->forward(kMicroBatch, false, pass);
  at::Tensor result = module_->take_network_output(kMicroBatch).to(at::kCPU).to(at::kDouble);
  return result;
}

at::Tensor WholeNetwork::probabilities(std::vector<at::Tensor> inputs) {
  return at::softmax(output(std::move(inputs)), 1);
}

}  // namespace gabra::exec
