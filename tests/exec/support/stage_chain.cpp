// SPDX-License-Identifier: MIT
#include "stage_chain.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace gabra::exec {

StageChain::StageChain(const Network& network, const ChainPlan& plan, const ModelOptions& options)
    : network_(network), plan_(plan) {
  std::vector<std::int32_t> bounds{0};
  bounds.insert(bounds.end(), plan.cuts.begin(), plan.cuts.end());
  bounds.push_back(static_cast<std::int32_t>(network.unit_count()));
  for (std::size_t s = 0; s + 1 < bounds.size(); ++s) {
    StageOutline outline{{bounds[s], bounds[s + 1]}, {DeviceId(s)}, {}};
    for (std::int32_t unit = bounds[s + 1]; plan.has_segments && unit-- > bounds[s];)
      outline.buckets.push_back({unit, unit + 1});
    modules_.push_back(std::make_unique<StageModule>(network, outline, plan.optimizer, options));
  }
}

std::size_t StageChain::stage_of(UnitId unit) const {
  return static_cast<std::size_t>(std::upper_bound(plan_.cuts.begin(), plan_.cuts.end(), unit.value()) -
                                  plan_.cuts.begin());
}

void StageChain::forward(std::int64_t micro_batch, const std::vector<at::Tensor>& inputs, const PassContext& pass,
                         bool keeps) {
  for (std::size_t s = 0; s < modules_.size(); ++s) {
    modules_[s]->put_network_input(micro_batch, inputs);
    modules_[s]->forward(micro_batch, keeps, pass);
    for (std::size_t t = 0; t < network_.unit_tensors().size(); ++t) {
      const UnitTensor& tensor = network_.unit_tensors()[t];
      if (stage_of(tensor.producer) != s) continue;
      const auto index = static_cast<std::int32_t>(t);
      std::size_t last = s;
      for (const UnitId consumer : tensor.consumers)
        if (const std::size_t reader = stage_of(consumer); reader != last) {
          // A copy, as if it had been sent.
          modules_[reader]->put_activation(micro_batch, index, modules_[s]->output(micro_batch, index).clone());
          last = reader;
        }
      if (last != s) modules_[s]->release_output(micro_batch, index);
    }
  }
}

void StageChain::backward(std::int64_t micro_batch, const PassContext& pass) {
  for (std::size_t s = modules_.size(); s-- > 0;) {
    if (plan_.recomputes) modules_[s]->recompute(micro_batch, pass);
    if (plan_.has_segments)
      for (std::size_t k = 0; k < modules_[s]->bucket_count(); ++k)
        modules_[s]->backward(micro_batch, static_cast<std::int32_t>(k));
    else
      modules_[s]->backward(micro_batch, -1);
    for (std::size_t t = 0; t < network_.unit_tensors().size(); ++t) {
      const UnitTensor& tensor = network_.unit_tensors()[t];
      const std::size_t maker = stage_of(tensor.producer);
      const bool reads = std::any_of(tensor.consumers.begin(), tensor.consumers.end(),
                                     [&](UnitId consumer) { return stage_of(consumer) == s; });
      if (maker == s || !reads || !tensor.needs_gradient) continue;
      const auto index = static_cast<std::int32_t>(t);
      modules_[maker]->put_gradient(micro_batch, index, StageId(s),
                                    modules_[s]->take_input_gradient(micro_batch, index));
    }
  }
}

double StageChain::accumulate(const std::vector<std::vector<at::Tensor>>& inputs,
                              const std::vector<at::Tensor>& targets, std::int64_t step,
                              const at::Tensor& class_weights) {
  const auto count = static_cast<std::int64_t>(inputs.size());
  double total = 0.0;
  for (const auto& module : modules_) module->set_micro_batches(count);
  for (std::int64_t m = 0; m < count; ++m) {
    const auto at = static_cast<std::size_t>(m);
    const PassContext pass{.step = step, .first_sample = m * inputs[at][0].size(0)};
    forward(m, inputs[at], pass, !plan_.recomputes);
    total += modules_.back()->loss(m, targets[at], class_weights, 1.0 / static_cast<double>(count)).item<double>();
    backward(m, pass);
  }
  return total;
}

double StageChain::step(const std::vector<std::vector<at::Tensor>>& inputs, const std::vector<at::Tensor>& targets,
                        const UpdateOptions& options, const at::Tensor& class_weights) {
  const double loss = accumulate(inputs, targets, options.step - 1, class_weights);
  for (const auto& module : modules_) module->update(options);
  return loss;
}

at::Tensor StageChain::evaluate(const std::vector<at::Tensor>& inputs) {
  forward(0, inputs, {.is_training = false}, false);
  return modules_.back()->take_network_output(0);
}

std::map<std::string, at::Tensor> StageChain::state() {
  std::map<std::string, at::Tensor> result;
  for (const auto& module : modules_) {
    for (NamedTensor& parameter : module->parameters()) result[parameter.name] = std::move(parameter.tensor);
    for (NamedTensor& buffer : module->buffers()) result[buffer.name] = std::move(buffer.tensor);
  }
  return result;
}

}  // namespace gabra::exec
